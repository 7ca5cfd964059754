"""The curves of a run: drawn at intervals, and a training goes on if they cannot be drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mriseg.io.runs import Run
from mriseg.report.curves import Curves

TRAINED: dict[str, Any] = {"epoch": 1, "loss": 0.5, "learning_rate": 1e-3, "seconds": 9.0}
VALIDATED = TRAINED | {"dice_WT": 0.7, "dice": 0.7}


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    """A run folder in which there are no curves yet."""
    return Run(tmp_path / "run", trained.manifest)


class Clock:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def drawn(run: Run, curves: Curves, rows: list[dict[str, Any]], last: bool = False) -> bool:
    run.curves_path.unlink(missing_ok=True)
    assert curves.draw(rows, last=last) is None
    return run.curves_path.exists()


def test_after_a_validation_at_most_once_a_minute_and_at_the_end(run: Run) -> None:
    clock = Clock()
    run.path.mkdir()
    curves = Curves(run, clock)
    clock.now += 59
    assert not drawn(run, curves, [VALIDATED])
    clock.now += 2
    assert not drawn(run, curves, [TRAINED])
    assert drawn(run, curves, [TRAINED, VALIDATED | {"epoch": 2}])
    clock.now += 59
    assert not drawn(run, curves, [VALIDATED])
    clock.now += 2
    assert not drawn(run, curves, [VALIDATED, TRAINED])
    assert drawn(run, curves, [VALIDATED])
    assert drawn(run, curves, [TRAINED], last=True)


def test_a_failed_chart_is_reported_once_and_training_goes_on(run: Run) -> None:
    clock = Clock()
    run.path.mkdir()
    run.curves_path.mkdir()
    curves = Curves(run, clock)
    clock.now += 61
    notice = curves.draw([VALIDATED], last=False)
    assert notice is not None and "the learning curves cannot be drawn" in notice
    assert "curves.png cannot be written" in notice
    clock.now += 61
    assert curves.draw([VALIDATED], last=False) is None
    # A log that no chart could be made of, as an older or newer mriseg may have written it.
    problem = Curves(run).draw([{"dice": "n/a"}], last=True)
    assert problem is not None
    run.curves_path.rmdir()
    assert drawn(run, curves, [VALIDATED], last=True)
