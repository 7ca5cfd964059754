from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mriseg.core.metrics import CaseScores, score_case
from mriseg.core.orientation import geometry_of
from mriseg.errors import UnknownNameError
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


def measured(folder: Path) -> EvaluateReport:
    """A report of them with its summary, written nowhere."""
    return replace(
        finish(reported(EvaluateReport(scores(), ()), None, pictures=False)), folder=folder
    )


def test_a_mean_that_is_nan_says_why(tmp_path: Path) -> None:
    report = measured(tmp_path)
    # One of two cases has a distance, so that there is a mean; the other is listed.
    assert report.mean("r", "hd95") == 0
    assert report.undefined() == tuple(
        f"{metric} of r is undefined (nan) in 1 of 2 cases: the mask is empty in 1"
        for metric in ("precision", "hd95", "assd")
    )
    empty = EvaluateReport(report.scores[1:], ())
    empty = finish(reported(empty, None, pictures=False))
    with pytest.warns(UserWarning, match="hd95 of r is undefined .* in 1 of 1 case: the mask is"):
        assert math.isnan(empty.mean("r", "hd95"))


def test_what_was_not_measured_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no 'hd' of 'r' was measured; regions: r; metrics:"):
        measured(tmp_path).mean("r", "hd")


def test_a_report_gets_its_summary_and_writes_its_files(tmp_path: Path) -> None:
    given = EvaluateReport(
        scores(), (), seen=("right",), skipped=(("x", "why"),), notices=("n",), tolerance=3
    )
    events: list[Event] = []
    report = finish(reported(given, tmp_path / "out", pictures=False), events.append)
    assert report.mean("r") == 0.5 and report.scores == given.scores
    assert report.folder == tmp_path / "out"
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
