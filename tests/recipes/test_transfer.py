"""A transfer trains what is not frozen, leaves the rest to the bit, and reports which is which."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig, TransferConfig
from mriseg.errors import ConfigError
from mriseg.events import Began, Event, Notice, Wrote, finish
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.resume import resume
from mriseg.recipes.transfer import shape_of, transfer
from mriseg.testing import phantoms


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Another task: one modality, two classes, other people, another field of view."""
    root = tmp_path_factory.mktemp("target")
    phantoms.write_nnunet(
        root / "src", 4, seed=50, shape=(16, 40, 48), style="msd", spacing=(4, 0.5, 0.6)
    )
    recipe = preprocess(root / "src", root / "out.zarr", regions="core,oedema", workers=1)
    finish(recipe)
    return open_store(root / "out.zarr")


def short(tiny: TrainConfig, **values: Any) -> TrainConfig:
    return TrainConfig.model_validate(
        {**tiny.model_dump(), "epochs": 2, "slices_per_epoch": 16, **values}
    )


def test_a_frozen_encoder_stays_as_it_was_statistics_and_all(
    target: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    events: list[Event] = []
    recipe = transfer(target, trained, short(tiny), cpu, freeze="encoder", out=tmp_path / "run")
    report = finish(recipe, events.append)
    run, plan = open_run(report.run), report.plan
    assert run.manifest.modalities == ("T1",) and list(run.manifest.regions) == ["core", "oedema"]
    # The new task's, not the source's.
    assert run.manifest.spacing == pytest.approx((0.5, 0.6))

    before, after = trained.load("best").weights, run.load("last").weights
    fates = {tensor.name: tensor for tensor in plan.tensors}
    moved = set()
    for name, tensor in after.items():
        if fates[name].frozen and fates[name].action == "kept":
            assert torch.equal(tensor, before[name]), name
        elif fates[name].action == "kept" and not torch.equal(tensor, before[name]):
            moved.add(name)
    # The T1 column of the first convolution, which is frozen, too.
    first = "encoder.1.0.conv.weight"
    column = trained.manifest.modalities.index("T1")
    assert torch.equal(after[first], before[first][:, column : column + 1])
    assert any("running_mean" in n for n in moved) and all(n.startswith("decoder") for n in moved)
    # The optimiser knows nothing of what is frozen.
    assert not any(name.startswith("encoder") for name in run.load("last").optimiser)

    assert run.manifest.parent == {
        "run": str(trained.path),
        "weights": "source",
        **TransferConfig(freeze="encoder").model_dump(),
        "frozen": [f"encoder.{level}" for level in range(1, 6)],
    }
    written = json.loads((run.path / "transfer.json").read_text())
    assert written.pop("policy") == run.manifest.config["transfer"]
    del written["digest"]
    assert written == json.loads(json.dumps(plan.to_json()))
    assert Wrote(run.path / "transfer.json", "report of what was kept, adapted and new") in events
    text = " ".join(event.text for event in events if isinstance(event, Notice))
    assert f"{plan.count('kept')} tensors kept, 1 adapted, 2 new" in text
    assert "T1 from T1" in text and "for core, oedema" in text


@pytest.mark.parametrize(
    ("freeze", "still"),
    [
        ("none", ()),
        ("encoder:2", ("encoder.1.", "encoder.2.")),
        ("all-but-head", ("encoder.", "decoder.")),
    ],
)
def test_policies_freeze_what_they_say(
    target: Store,
    trained: Run,
    tiny: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
    freeze: str,
    still: tuple[str, ...],
) -> None:
    config = short(tiny, epochs=1)
    report = finish(transfer(target, trained, config, cpu, freeze=freeze, out=tmp_path / "run"))
    before, after = trained.load("best").weights, open_run(report.run).load("last").weights
    for tensor in report.plan.tensors:
        assert tensor.frozen == tensor.name.startswith(still or ("nothing",))
        if tensor.action == "kept" and tensor.name.endswith("conv.weight"):
            same = torch.equal(before[tensor.name], after[tensor.name])
            assert same == tensor.frozen, tensor.name


def test_a_stopped_transfer_resumes_frozen(
    target: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    config = short(tiny)
    finish(transfer(target, trained, config, cpu, out=tmp_path / "whole"))
    for event in (recipe := transfer(target, trained, config, cpu, out=tmp_path / "run")):
        if isinstance(event, Began):
            recipe.close()
    # The report is there from the first, whatever becomes of the training.
    assert (tmp_path / "run" / "transfer.json").exists()
    finish(resume(open_run(tmp_path / "run"), cpu))
    one, other = (open_run(tmp_path / name).load("last") for name in ("whole", "run"))
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)


def test_the_same_task_keeps_the_head_unless_set_otherwise(
    brats_store: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    config = short(tiny, epochs=1, slices_per_epoch=4)
    plan = finish(transfer(brats_store, trained, config, cpu, out=tmp_path / "kept")).plan
    assert plan.count("kept") == len(plan.tensors)
    recipe = transfer(brats_store, trained, config, cpu, new_head=True, out=tmp_path / "new")
    plan = finish(recipe).plan
    assert plan.count("new") == 2
    # What is known does better than what is not.
    kept, new = (open_run(tmp_path / name).read_log()[0] for name in ("kept", "new"))
    assert kept["dice"] > new["dice"]


def test_what_the_source_saw_is_remembered(
    target: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    report = finish(transfer(target, trained, short(tiny, epochs=1), cpu, out=tmp_path / "run"))
    manifest = open_run(report.run).manifest
    assert set(trained.manifest.seen) <= set(manifest.seen)
    assert len(manifest.seen) == len(trained.manifest.seen) + len(manifest.train)


def test_a_patient_seen_twice_is_recorded_once(
    brats_store: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    """A transfer that trains on its source's own patients."""
    config = short(tiny, epochs=1, slices_per_epoch=4)
    report = finish(transfer(brats_store, trained, config, cpu, out=tmp_path / "run"))
    assert sorted(open_run(report.run).manifest.seen) == sorted(trained.manifest.seen)


def test_validating_on_training_cases_of_the_source_is_reported(
    brats_store: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    known = trained.manifest.train[0]
    events: list[Event] = []
    config = short(tiny, epochs=1, slices_per_epoch=4, validation_cases=[known])
    finish(transfer(brats_store, trained, config, cpu, out=tmp_path / "run"), events.append)
    assert any(
        known in e.text and "validate here" in e.text for e in events if isinstance(e, Notice)
    )


def test_what_does_not_fit_is_refused_at_once(
    target: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(ConfigError, match="width 8 and the target 16"):
        finish(transfer(target, trained, short(tiny, width=16), cpu, out=out))
    with pytest.raises(ConfigError, match="--encoder-weights"):
        config = short(tiny, encoder_weights="imagenet")
        finish(transfer(target, trained, config, cpu, out=out))
    with pytest.raises(ConfigError, match="encoder:K"):
        finish(transfer(target, trained, short(tiny), cpu, freeze="decoder", out=out))
    with pytest.raises(ConfigError, match="no modality FLAIR"):
        finish(transfer(target, trained, short(tiny, modalities=["FLAIR"]), cpu, out=out))
    assert not out.exists()


def test_the_source_is_only_read(
    target: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    copy = tmp_path / "source"
    shutil.copytree(trained.path, copy)
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    source = open_run(copy)
    finish(transfer(target, source, short(tiny, epochs=1), cpu, freeze="none", out=tmp_path / "x"))
    assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == before
    assert shape_of(source).modalities == ("T1", "T2", "FLAIR")


def test_it_keeps_the_contrast_that_its_source_reads(
    brats_store: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    """Whatever a training would read by default, also after a stop."""
    every = short(tiny, modalities=("T1CE", "FLAIR"), epochs=1)
    source = finish(transfer(brats_store, trained, every, cpu, out=tmp_path / "source"))
    default = short(tiny, epochs=1).model_copy(update={"modalities": None})
    events: list[Event] = []
    recipe = transfer(brats_store, open_run(source.run), default, cpu, out=tmp_path / "run")
    report = finish(recipe, events.append)
    run = open_run(report.run)
    assert run.manifest.modalities == ("T1CE", "FLAIR")
    assert report.plan.count("adapted") == report.plan.count("new") == 0
    said = "\n".join(event.text for event in events if isinstance(event, Notice))
    assert "T1, T2, which the store has, are not used; add them with --modalities" in said
