"""Real transfers: exactly what a policy lets move moves, and a stopped one ends as an unstopped."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mriseg.backends import Backend
from mriseg.core import finetune
from mriseg.core.config import TrainConfig, TransferConfig
from mriseg.core.segnet import BLOCKS, DECODER, ENCODER, HEAD, block_of
from mriseg.errors import ConfigError
from mriseg.events import Event, Measured, Notice, finish
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.info import holds
from mriseg.recipes.info_runs import RunInfo
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.resume import resume
from mriseg.recipes.transfer import transfer
from mriseg.testing import phantoms

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
REGIONS = "WT,TC,ET"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same regions and modalities on other people, so that every tensor can be kept."""
    root = tmp_path_factory.mktemp("target")
    phantoms.write_brats(root / "src", 3, seed=70, shape=(10, 40, 36))
    finish(preprocess(root / "src", root / "out.zarr", regions=REGIONS, workers=1))
    return open_store(root / "out.zarr")


def config(tiny: TrainConfig, policy: dict[str, Any], **values: Any) -> TrainConfig:
    """Two steps an epoch, ten in all: the first epoch is lp-ft's first phase."""
    short = {"epochs": 5, "slices_per_epoch": 8, "validate_every": 5, "transfer": policy}
    return TrainConfig.model_validate({**tiny.model_dump(), **short, **values})


def carried(
    target: Store, source: Run, config: TrainConfig, cpu: Backend, out: Path, **how: Any
) -> Run:
    report = finish(transfer(target, source, config, cpu, out=out, **how))
    return open_run(report.run)


def stopped(
    target: Store, source: Run, config: TrainConfig, cpu: Backend, out: Path, epoch: int
) -> Run:
    """The run as a process leaves it that dies after so many epochs."""
    recipe = transfer(target, source, config, cpu, out=out)
    for event in recipe:
        if isinstance(event, Measured) and event.step == epoch:
            recipe.close()
    return open_run(out)


def start_of(source: Run) -> dict[str, Tensor]:
    return source.load(source.chosen).weights


def end_of(run: Run) -> dict[str, Tensor]:
    return run.load("last").weights


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    """The blocks of which anything moved; such a block's convolutions have all moved."""
    names = [name for name in before if not torch.equal(before[name], after[name])]
    blocks = {block_of(name) for name in names}
    weights = {n for n in before if n.endswith(("conv.weight", "head.weight"))}
    assert {n for n in weights if block_of(n) in blocks} == weights & set(names)
    return blocks


def distance(before: dict[str, Tensor], after: dict[str, Tensor], block: str) -> float:
    names = [n for n in before if block_of(n) == block and not n.endswith(STATISTICS)]
    return math.sqrt(sum(float((after[n] - before[n]).square().sum()) for n in names))


@pytest.mark.parametrize(
    ("policy", "blocks"),
    [
        ({"freeze": "none"}, BLOCKS),
        ({"freeze": "encoder:3"}, (*ENCODER[3:], *DECODER, HEAD)),
        ({"freeze": "all-but-head"}, (HEAD,)),
        ({"freeze": "all-but-first"}, ENCODER[:1]),
        ({"freeze": "none", "schedule": "lp-ft"}, BLOCKS),
        ({"freeze": "encoder", "schedule": "gradual"}, (*DECODER, HEAD)),
    ],
    ids=str,
)
def test_what_may_move_moves_and_nothing_else(
    target: Store,
    trained: Run,
    tiny: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
    policy: dict[str, Any],
    blocks: tuple[str, ...],
) -> None:
    allowed = set(blocks)
    run = carried(target, trained, config(tiny, policy), cpu, tmp_path / "run")
    assert moved(start_of(trained), end_of(run)) == allowed
    # What training gives is an average of weights; what stood still is in it to the bit.
    assert moved(start_of(trained), run.load("best").weights) <= allowed
    info = holds(run.path)
    assert isinstance(info, RunInfo)
    assert set(info.frozen) == set(BLOCKS) - allowed
    assert info.policy == finetune.described(TransferConfig(**policy))


@pytest.mark.parametrize(
    ("policy", "epoch", "blocks"),
    [
        pytest.param({"freeze": "none", "schedule": "lp-ft"}, 1, (HEAD,), marks=pytest.mark.slow),
        ({"freeze": "encoder:4", "schedule": "lp-ft", "l2_sp": 5, "layer_decay": 0.7}, 2, None),
        ({"freeze": "none", "schedule": "gradual"}, 1, (*DECODER[3:], HEAD)),
        pytest.param(
            {"freeze": "encoder", "schedule": "gradual", "adapt_norm": True},
            2,
            None,
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_a_stopped_run_resumes_in_its_phase(
    target: Store,
    trained: Run,
    tiny: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
    policy: dict[str, Any],
    epoch: int,
    blocks: tuple[str, ...] | None,
) -> None:
    source = tmp_path / "source"
    shutil.copytree(trained.path, source)
    wanted = config(tiny, policy)
    whole = carried(target, open_run(source), wanted, cpu, tmp_path / "whole")
    run = stopped(target, open_run(source), wanted, cpu, tmp_path / "run", epoch)
    if blocks is not None:
        # Until here only these have moved, statistics included.
        assert moved(start_of(trained), end_of(run)) == set(blocks)
    shutil.rmtree(source)  # nothing of it is needed any more
    finish(resume(run, cpu))
    one, other = (r.load("last") for r in (whole, run))
    for mine, theirs in ((one.weights, other.weights), (one.optimiser, other.optimiser)):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    rates = [[row["learning_rate"] for row in r.read_log()] for r in (whole, run)]
    assert rates[0] == rates[1]


def test_the_head_trains_first_and_is_reported(
    target: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    events: list[Event] = []
    wanted = config(tiny, {"freeze": "encoder:4", "schedule": "lp-ft"}, patience=1)
    recipe = transfer(target, trained, wanted, cpu, out=tmp_path / "run")
    finish(recipe, events.append)
    text = [event.text for event in events if isinstance(event, Notice)]
    assert "at 0% of the training: head alone trains" in text
    assert "at 20% of the training: head to encoder.5 trains" in text
    # The optimiser counts the steps of what trained longer.
    counts = {n: int(t) for n, t in open_run(tmp_path / "run").load("last").optimiser.items()
              if n.endswith("/step")}  # fmt: skip
    assert len(set(counts.values())) == 2
    assert counts["head.weight/step"] == counts["decoder.1.0.conv.weight/step"] + 2


def test_patience_waits_for_the_last_phase(
    target: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    # With such a rate and batch normalisation frozen nothing moves, so no validation is better than
    # the first.
    still = {"learning_rate": 1e-12, "patience": 1, "validate_every": 1}
    policy = {"freeze": "none", "schedule": "lp-ft"}
    wanted = config(tiny, policy, epochs=15, slices_per_epoch=4, **still)
    rows = carried(target, trained, wanted, cpu, tmp_path / "run").read_log()
    assert len({row["dice"] for row in rows[:3]}) == 1
    assert len(rows) > 3


@pytest.mark.slow
def test_l2_sp_ends_nearer_to_the_start(
    target: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    runs = {
        strength: carried(
            target,
            trained,
            config(tiny, {"freeze": "none", "l2_sp": strength}),
            cpu,
            tmp_path / str(strength),
        )
        for strength in (0, 20)
    }
    before = start_of(trained)
    for block in BLOCKS:
        far, near = (distance(before, end_of(run), block) for run in runs.values())
        assert near < 0.7 * far, block
    assert not runs[0].has("start") and runs[20].has("start")
    kept = runs[20].load("start").weights
    assert all(torch.equal(kept[name], before[name]) for name in kept)


@pytest.mark.slow
def test_layer_decay_moves_deep_stages_less(
    target: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    flat, steep = (
        carried(
            target,
            trained,
            config(tiny, {"freeze": "none", "layer_decay": decay}),
            cpu,
            tmp_path / str(decay),
        )
        for decay in (1.0, 0.5)
    )
    before = start_of(trained)
    ratios = [
        distance(before, end_of(steep), block) / distance(before, end_of(flat), block)
        for block in BLOCKS
    ]
    # Adam's steps are of the learning rate, whatever the gradient.
    for block, ratio in zip(BLOCKS, ratios, strict=True):
        assert ratio == pytest.approx(finetune.factor(block, 0.5), rel=0.5), block


def test_adapted_statistics_are_the_new_slices_and_stay(
    target: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    wanted = config(tiny, {"freeze": "all-but-head", "adapt_norm": True}, epochs=1)
    events: list[Event] = []
    recipe = transfer(target, trained, wanted, cpu, out=tmp_path / "run")
    plan = finish(recipe, events.append).plan
    before, after = start_of(trained), end_of(open_run(tmp_path / "run"))
    for tensor in plan.tensors:
        statistics = tensor.name.endswith(STATISTICS)
        assert tensor.action == ("adapted" if statistics else "kept")
        same = torch.equal(before[tensor.name], after[tensor.name])
        assert same == (not statistics and block_of(tensor.name) != HEAD), tensor.name
    # Of two batches, which training then left alone.
    assert {int(after[n]) for n in after if n.endswith("num_batches_tracked")} == {2}
    text = " ".join(event.text for event in events if isinstance(event, Notice))
    assert "75 tensors adapted: re-estimated" in text


def test_the_control_has_learnt_nothing_from_the_source(
    target: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    wanted = config(tiny, {"freeze": "encoder", "l2_sp": 5.0}, epochs=1)
    run = carried(target, trained, wanted, cpu, tmp_path / "run", weights="random")
    other = tmp_path / "other"
    shutil.copytree(trained.path, other)
    checkpoint = trained.load("best")
    weights = {name: tensor + 1 for name, tensor in checkpoint.weights.items()}
    open_run(other).save("best", type(checkpoint)(weights, {}, checkpoint.state))
    again = carried(target, open_run(other), wanted, cpu, tmp_path / "again", weights="random")
    one, two = end_of(run), end_of(again)
    assert all(torch.equal(one[name], two[name]) for name in one)

    # Frozen as they would be with the source's weights: batch normalisation is still the identity.
    frozen = [n for n in one if n.startswith("encoder.") and n.endswith("running_mean")]
    assert frozen and not any(one[name].any() for name in frozen)
    assert any(one[n].any() for n in one if n.startswith("decoder.") and "running_mean" in n)
    assert len(run.manifest.seen) == len(run.manifest.train)
    assert run.manifest.parent is not None and run.manifest.parent["weights"] == "random"
    info = holds(run.path)
    assert isinstance(info, RunInfo) and "random weights of the shape of" in str(info.parent)
    with pytest.raises(ConfigError, match="expected source or random"):
        carried(target, trained, wanted, cpu, tmp_path / "none", weights="fresh")
