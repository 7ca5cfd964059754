"""Training: what it writes, when it ends, and that a stopped one goes on to the bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.errors import ConfigError, OutputError
from mriseg.events import Advanced, Began, Event, Measured, Notice, Wrote
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store
from mriseg.recipes.load import load_model
from mriseg.recipes.train import train
from tests import vgg
from tests.trainings import changed, run_training, weights_equal

# What it writes


def test_a_training_writes_its_run(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    events: list[Event] = []
    config = changed(tiny, epochs=3, regions=["WT"])
    report = run_training(brats_store, config, cpu, tmp_path / "run", events.append)
    assert report.run == tmp_path / "run" and report.epochs == 3
    assert report.reason == "all 3 epochs are done" and report.seconds > 0

    run = open_run(tmp_path / "run")
    manifest = run.manifest
    assert TrainConfig.model_validate(manifest.config) == config
    assert manifest.modalities == ("T1", "T2", "FLAIR") and list(manifest.regions) == ["WT"]
    assert Path(manifest.store).is_absolute() and manifest.unit == "mm"
    assert {"mriseg", "torch", "python"} <= set(manifest.versions)
    # No patient on both sides, and all of those that trained are remembered.
    assert set(manifest.train).isdisjoint(manifest.validation)
    assert len(manifest.train) == 3 and len(manifest.validation) == 1
    assert sorted(case.name for case in manifest.seen) == sorted(manifest.train)

    rows = run.read_log()
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    assert rows[-1]["dice"] == rows[-1]["dice_WT"]
    assert report.best == max(row["dice"] for row in rows)
    assert rows[report.best_epoch - 1]["dice"] == report.best
    assert report.dice == {manifest.validation[0]: {"WT": pytest.approx(report.best)}}

    best, last = run.load("best"), run.load("last")
    assert best.state["epoch"] == report.best_epoch and not best.optimiser
    assert last.state["ended"] == report.reason and last.optimiser
    assert last.state["position"]["step"] == rows[-1]["step"]
    assert set(load_model(run, cpu).state_dict()) == set(best.weights)

    images = sorted((run.path / "images").iterdir())
    assert [p.name for p in images] == [
        f"image_{row['epoch']:04d}_{row['step']:06d}.png" for row in rows
    ]
    with Image.open(images[-1]) as picture:
        assert picture.width > 100 and picture.height > 30
    board = EventAccumulator(str(run.path / "tensorboard")).Reload()
    assert [e.step for e in board.Scalars("loss")] == [row["step"] for row in rows]
    assert [e.value for e in board.Scalars("dice")] == pytest.approx([r["dice"] for r in rows])
    assert {p.name for p in run.path.iterdir()} == {
        "run.json", "best.safetensors", "last.safetensors", "log.jsonl", "curves.png",
        "tensorboard", "images", "report.html", "certainty.json",
    }  # fmt: skip
    with Image.open(run.curves_path) as picture:
        assert picture.format == "PNG"

    (began,) = (e for e in events if isinstance(e, Began))
    assert (began.total, began.unit) == (rows[-1]["step"], "step")
    assert [e.done for e in events if isinstance(e, Advanced)][-1] == began.total
    assert [e.step for e in events if isinstance(e, Measured)] == [1, 2, 3]
    assert Wrote(run.path, "run") in events
    # The validation case is not among the slices that were trained on.
    assert any("3 cases train, 1 validates" in e.text for e in events if isinstance(e, Notice))


def test_it_learns_to_find_the_tumour(trained: Run) -> None:
    rows = trained.read_log()
    assert max(row["dice_WT"] for row in rows) > 0.5
    assert set(trained.load("best").state["dice"]) == set(trained.manifest.validation)


@pytest.mark.slow
def test_a_training_is_a_function_of_its_seed(
    brats_store: Store, short: TrainConfig, cpu: Backend, whole: Run, tmp_path: Path
) -> None:
    run_training(brats_store, short, cpu, tmp_path / "again")
    assert weights_equal(open_run(tmp_path / "again"), whole)
    run_training(brats_store, changed(short, seed=1), cpu, tmp_path / "other")
    assert not weights_equal(open_run(tmp_path / "other"), whole)


# When it ends


def test_a_taken_folder_is_refused(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, whole: Run
) -> None:
    with pytest.raises(OutputError, match="choose another folder"):
        run_training(brats_store, tiny, cpu, whole.path)


# Choices


def test_encoder_weights_are_the_start(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    state = vgg.vgg16_bn_state()
    save_file(state, tmp_path / "vgg.safetensors")
    config = changed(tiny, encoder_weights=str(tmp_path / "vgg.safetensors"), width=64)
    for event in (recipe := train(brats_store, config, cpu, out=tmp_path / "run")):
        if isinstance(event, Began):
            recipe.close()
    weights = open_run(tmp_path / "run").load("last").weights
    assert torch.equal(weights["encoder.3.1.conv.weight"], state["features.17.weight"])
    assert torch.equal(weights["encoder.5.2.norm.running_var"], state["features.41.running_var"])
    with pytest.raises(ConfigError, match="width 64"):
        run_training(brats_store, changed(config, width=8), cpu, tmp_path / "narrow")
