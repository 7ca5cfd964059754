"""What a run remembers of trackers comes back, or is said to be damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.errors import OutputError, RunError
from mriseg.io.trackers.record import FILE, Entry, read_record, write_record


def test_a_record_comes_back(tmp_path: Path) -> None:
    assert read_record(tmp_path) == {}
    entries = {"mlflow": Entry("0a1b", 3), "other": Entry("x", 0)}
    write_record(tmp_path, entries)
    assert read_record(tmp_path) == entries


@pytest.mark.parametrize("change", ['"epoch": 4', '"epoch": "x"'])
def test_a_changed_one_is_damaged(tmp_path: Path, change: str) -> None:
    write_record(tmp_path, {"mlflow": Entry("0a1b", 3)})
    path = tmp_path / FILE
    text = path.read_text().replace('"epoch": 3', change)
    assert change in text
    path.write_text(text)
    with pytest.raises(RunError, match=r"trackers\.json is damaged"):
        read_record(tmp_path)


def test_a_run_that_went_away_is_not_made_again(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_record(tmp_path / "gone", {})
    assert not (tmp_path / "gone").exists()
