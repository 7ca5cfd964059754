"""What a run, a shared model and a folder of runs hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mriseg.events import finish
from mriseg.io.runs import CARD, Run, open_run
from mriseg.recipes.info import holds
from mriseg.recipes.info_runs import RunInfo, RunsInfo
from mriseg.recipes.share import share


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    """A copy, in a folder of runs."""
    return open_run(shutil.copytree(trained.path, tmp_path / "runs/three"))


def test_a_run(run: Run) -> None:
    info = holds(run.path)
    assert isinstance(info, RunInfo) and not info.is_model and info.card is None
    assert info.width == run.manifest.model["width"] and info.epochs == len(run.read_log())
    assert info.dice == pytest.approx(max(row["dice"] for row in run.read_log()))
    assert info.weights == "best" and info.ended == run.ended and info.parent is None
    assert info.curves == run.path / "curves.png" and info.curves.exists()
    info.curves.unlink()
    without = holds(run.path)
    assert isinstance(without, RunInfo) and without.curves is None


def test_a_shared_model_shows_what_its_card_states(run: Run, tmp_path: Path) -> None:
    finish(share(run, tmp_path / "model", terms="CC BY 4.0"))
    info = holds(tmp_path / "model")
    assert isinstance(info, RunInfo) and info.is_model and not info.ended
    assert info.card is not None and info.card.terms == "CC BY 4.0" and not info.card.figures
    (tmp_path / "model" / CARD).unlink()
    bare = holds(tmp_path / "model")
    assert isinstance(bare, RunInfo) and bare.is_model and bare.card is None


def test_the_shipped_model_shows_its_figures() -> None:
    info = holds("base")
    assert isinstance(info, RunInfo) and info.is_model and info.card is not None
    assert info.card.figures[0].measured_on == "all patients, all modalities"
    assert info.card.figures[0].mean.startswith("0.834 [0.809")
    assert "CC BY-NC-SA 4.0" in info.card.terms
    # As the card's generator words it today.
    blind, what, threshold = info.card.caveats
    assert blind.startswith("**On patients that chose nothing.** 56 patients, each segmented by a ")
    assert what.startswith("What was measured: runs trained alike on 30 to 48 patients, not this ")
    assert threshold.startswith("Threshold and calibration: of the same patients left out")


def test_a_folder_of_runs(run: Run, tmp_path: Path) -> None:
    finish(share(run, run.path.parent / "model"))
    broken = shutil.copytree(run.path, run.path.parent / "broken")
    (broken / "run.json").write_text("{")
    fresh = open_run(shutil.copytree(run.path, run.path.parent / "fresh"))
    for which in ("best", "last"):
        (fresh.path / f"{which}.safetensors").unlink()
    (run.path.parent / "notes").mkdir()
    info = holds(run.path.parent)
    assert isinstance(info, RunsInfo) and info.path == run.path.parent
    lines = {line.name: line for line in info.runs}
    assert list(lines) == ["broken", "fresh", "model", "three"]
    three = lines["three"]
    assert three.store == "brats" and three.epochs == 6 and three.created == run.manifest.created
    assert three.task == "T1+T2+FLAIR -> WT, TC, ET"
    assert three.dice == pytest.approx(max(row["dice"] for row in run.read_log()))
    assert three.state == f"ended: {run.ended}"
    assert lines["model"].state == "a model to use" and lines["fresh"].state == "not trained"
    assert lines["broken"].state.startswith("cannot be read: ") and not lines["broken"].created
