"""A run shows how far it is and how good, and a shared model what it reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mriseg.io.runs import Run, open_run
from mriseg.overview.values import PAGE


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    return open_run(shutil.copytree(trained.path, tmp_path / "run"))


def test_a_run(run: Run) -> None:
    log = run.read_log()
    best = max(row["dice"] for row in log)
    assert repr(run) == f"<Run {run.path}>"
    assert run.overview().title == (
        f"run {run.path}: best Dice {best:.4f}, {len(log)} epochs, ended: {run.ended}"
    )
    assert "T1, T2, FLAIR" in str(run)
    frame = run.to_pandas()
    assert list(frame["epoch"]) == [row["epoch"] for row in log] and "loss" in frame
    assert run.curves == run.path / "curves.png" == run.pictures[0]
    assert run.page == run.path / PAGE


def test_a_run_before_its_first_epoch_and_a_damaged_one(run: Run) -> None:
    for path in (run.log_path, run.curves_path, run.path / PAGE, *run.path.glob("*.safetensors")):
        path.unlink()
    assert run.curves is None and run.page is None
    assert "0 epochs, not ended" in str(run)
    (run.path / "last.safetensors").write_bytes(b"x")
    assert "Run that cannot be read" in str(run) and "last.safetensors" in run._repr_html_()


def test_a_shared_model() -> None:
    base = open_run("base")
    assert "to predict with or to transfer from" in str(base)
    assert base.curves is None and base.page is None and base.pictures == ()
