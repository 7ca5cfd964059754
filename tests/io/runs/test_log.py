"""A log is rows of numbers; a line that was cut ends them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.errors import RunError
from mriseg.io.runs import Run, create_run
from tests.io.runs.examples import MANIFEST


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "run", MANIFEST)


def test_the_log_is_rows_and_a_cut_line_is_left_out(run: Run) -> None:
    assert run.read_log() == []
    rows = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    run.write_log(rows)
    assert run.read_log() == rows
    with run.log_path.open("a") as file:
        file.write('{"epoch": 3, "lo')
    assert run.read_log() == rows
    run.write_log(rows[:1])
    assert run.read_log() == rows[:1]


@pytest.mark.parametrize(
    "line",
    ["[]", "{}", '{"epoch": "x"}', '{"epoch": 3, "dice": {}}', '{"epoch": 3, "dice_WT": "x"}'],
)
def test_a_line_of_the_wrong_form_ends_it(run: Run, line: str) -> None:
    run.write_log([{"epoch": 1, "dice": None, "dice_WT": 0.5}])
    with run.log_path.open("a") as file:
        file.write(f'{line}\n{{"epoch": 4}}\n')
    assert run.read_log() == [{"epoch": 1, "dice": None, "dice_WT": 0.5}]


def test_a_log_that_is_not_a_file_is_reported(run: Run) -> None:
    run.log_path.mkdir()
    with pytest.raises(RunError, match=r"log\.jsonl cannot be read"):
        run.read_log()
