"""TensorBoard's files: its own reader gets the numbers, and a resumed run drops what came after."""

from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mriseg.errors import OutputError
from mriseg.io.runs.tensorboard import Board


def scalars(folder: Path) -> list[tuple[int, float]]:
    reader = EventAccumulator(str(folder))
    reader.Reload()
    return [(event.step, event.value) for event in reader.Scalars("loss")]


def test_tensorboard_reads_the_numbers(tmp_path: Path) -> None:
    board = Board(tmp_path / "tensorboard", 0)
    for step in (1, 2, 3):
        board.add(step, {"loss": 1 / 2**step, "dice": 0.5})
    assert scalars(tmp_path / "tensorboard") == [(1, 0.5), (2, 0.25), (3, 0.125)]


def test_steps_after_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    first = Board(tmp_path / "tensorboard", 0)
    for step in (1, 2, 3):
        first.add(step, {"loss": 1.0})
    resumed = Board(tmp_path / "tensorboard", 2)
    resumed.add(2, {"loss": 0.5})
    assert scalars(tmp_path / "tensorboard") == [(1, 1.0), (2, 0.5)]


def test_a_run_that_went_away_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be created"):
        Board(tmp_path / "gone" / "tensorboard", 0)
    board = Board(tmp_path / "tensorboard", 0)
    for path in (tmp_path / "tensorboard").iterdir():
        path.unlink()
    (tmp_path / "tensorboard").rmdir()
    with pytest.raises(OutputError, match="cannot be written"):
        board.add(1, {"loss": 1.0})
