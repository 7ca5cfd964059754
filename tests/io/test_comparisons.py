"""The files of a comparison are read as they were written, and a damaged one is refused."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mriseg.core.comparison import Score, compared
from mriseg.errors import InputError
from mriseg.io.comparisons import (
    FORMAT_VERSION,
    CaseResult,
    Plan,
    PlannedCase,
    SourceRun,
    read_plan,
    read_result,
    write_plan,
    write_result,
    write_summary,
)

PLAN = Plan(
    source=SourceRun("base", "2026-01-01T00:00:00+00:00"),
    store="out.zarr",
    cases=(PlannedCase("a", "pa", "ca"), PlannedCase("b", "pb", "")),
    regions={"WT": (1, 2), "ET": (4,)},
    folds=2,
    new_head=False,
    config={"epochs": 3, "width": 8},
)
RESULTS = (
    CaseResult("a", "pa", 60.5, {"WT": 0.5, "ET": 0.25}),
    CaseResult("b", "pb", 2.0, {"WT": 1.0}),
)


def test_a_plan_goes_through_its_file(tmp_path: Path) -> None:
    assert read_plan(tmp_path) is None
    write_plan(tmp_path / "new", PLAN)
    plan = read_plan(tmp_path / "new")
    assert plan == PLAN and plan is not None and list(plan.regions) == ["WT", "ET"]


def test_a_result_goes_through_its_file(tmp_path: Path) -> None:
    assert read_result(tmp_path) is None
    write_result(tmp_path, RESULTS)
    assert read_result(tmp_path) == RESULTS


def test_differences_are_named_with_both_values_of_a_setting() -> None:
    assert PLAN.differences(PLAN) == []
    other = replace(PLAN, folds=3, cases=PLAN.cases[:1], config={"epochs": 2, "seed": 1})
    assert PLAN.differences(other) == [
        "cases",
        "folds",
        "epochs (3 before, 2 now)",
        "width (8 before, None now)",
        "seed (None before, 1 now)",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(format="mriseg-run"), "is not of a comparison"),
        (lambda data: data.update(version=FORMAT_VERSION + 1), "install a newer mriseg"),
        (lambda data: data.update(folds="two"), "damaged .folds is 'two'"),
        (lambda data: data.update(cases=[["a", "pa", "ca"]]), r"damaged .cases\.0"),
        (lambda data: data.pop("config"), "damaged .config"),
    ],
    ids=["format", "version", "folds", "cases", "config"],
)
def test_a_damaged_plan_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    write_plan(tmp_path, PLAN)
    data = json.loads((tmp_path / "plan.json").read_text())
    change(data)
    (tmp_path / "plan.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match=message):
        read_plan(tmp_path)


@pytest.mark.parametrize(
    "cases", [None, [3], [{"case": "a", "patient": "p", "seconds": 1.0, "regions": {}}]]
)
def test_a_damaged_result_is_refused(tmp_path: Path, cases: object) -> None:
    write_result(tmp_path, RESULTS)
    data = json.loads((tmp_path / "result.json").read_text())
    (tmp_path / "result.json").write_text(json.dumps({**data, "cases": cases}))
    with pytest.raises(InputError, match=r"result\.json is damaged .*remove it to measure again"):
        read_result(tmp_path)


def test_a_summary_holds_the_plan_without_its_cases(tmp_path: Path) -> None:
    scores = [
        Score(method, "all", 4, seed, 1, patient, patient, 0.5, {"WT": 0.5}, 2.0)
        for method in ("scratch", "full")
        for seed in (0, 1)
        for patient in ("pa", "pb")
    ]
    write_summary(tmp_path, PLAN, scores, compared(scores))
    data = json.loads((tmp_path / "compare.json").read_text())
    assert data["store"] == "out.zarr" and data["seeds"] == [0, 1]
    assert list(data["methods"]) == ["scratch", "full"]
    assert isinstance(data["cells"], list) and len(data["cells"]) == 2
    assert "cases" not in data
    with (tmp_path / "compare.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(scores) and rows[0]["dice_WT"] == "0.5"
