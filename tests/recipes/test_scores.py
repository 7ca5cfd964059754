from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mriseg.core.metrics import CaseScores, score_case
from mriseg.core.orientation import geometry_of
from mriseg.events import Event, Wrote, finish
from mriseg.recipes.scores import EvaluateReport, case_event, reported


def scores() -> tuple[CaseScores, ...]:
    """A mask that is right and one that is empty."""
    truth = np.zeros((1, 4, 5, 6), dtype=np.uint8)
    truth[0, 1:3, 1:3, 1:3] = 1
    geometry = geometry_of((6, 5, 4), np.diag([-1.0, -1, 1, 1]))
    masks = {"right": truth, "empty": np.zeros_like(truth)}
    return tuple(
        row for name, mask in masks.items() for row in score_case(name, mask, truth, "r", geometry)
    )


def test_a_report_gets_its_summary_and_writes_its_files(tmp_path: Path) -> None:
    given = EvaluateReport(
        scores(), (), seen=("right",), skipped=(("x", "why"),), notices=("n",), tolerance=3
    )
    events: list[Event] = []
    report = finish(reported(given, tmp_path / "out", pictures=False), events.append)
    assert report.mean("r") == 0.5 and report.scores == given.scores
    assert [event.path for event in events if isinstance(event, Wrote)] == [tmp_path / "out"]
    data = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (data["skipped"], data["notices"], data["tolerance"]) == ([["x", "why"]], ["n"], 3)
    assert [case["seen"] for case in data["cases"]] == [True, False]
    with (tmp_path / "out" / "cases.csv").open(newline="") as file:
        assert [row["hd95"] for row in csv.DictReader(file)] == ["0.0", ""]


def test_without_a_folder_nothing_is_written() -> None:
    events: list[Event] = []
    finish(reported(EvaluateReport(scores(), ()), None, pictures=True), events.append)
    assert not events


def test_a_cases_scores_are_an_event() -> None:
    event = case_event(scores()[0])
    assert event.note == "right r" and event.numbers["dice"] == 1
    assert event.numbers["volume_truth"] == pytest.approx(0.008)
