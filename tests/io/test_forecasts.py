"""A forecast's summary holds the plan without its cases, and every number in JSON's own types."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from mriseg.core.forecast import forecast
from mriseg.io.comparisons import Plan, PlannedCase
from mriseg.io.forecasts import CSV, JSON, write_forecast
from tests.core.test_forecast import scored


def test_summary_and_table(tmp_path: Path) -> None:
    scores = scored(lambda size: 0.9 - 0.9 * size**-0.5, between=0.05, noise=0.01)
    result = forecast(scores, now=30, more=10, generator=np.random.default_rng(0), resamples=50)
    plan = Plan(None, "lgg.zarr", (PlannedCase("a", "pa", ""),), {"WT": (1,)}, 5, False, {})
    write_forecast(tmp_path, plan, scores, result)
    data = json.loads((tmp_path / JSON).read_text())
    assert (data["format"], data["source"], data["seeds"]) == ("mriseg-forecast", None, [0, 1, 2])
    assert "cases" not in data and data["gain"]["dice"] == result.gain.dice  # type: ignore[union-attr]
    with (tmp_path / CSV).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(scores) and float(rows[0]["dice_WT"]) == 0.5


def test_without_a_curve_nothing_is_made_up(tmp_path: Path) -> None:
    scores = scored(lambda _: 0.5, (5, 10), folds=1)
    result = forecast(scores, now=30, more=10, generator=np.random.default_rng(0))
    plan = Plan(None, "lgg.zarr", (), {"WT": (1,)}, 5, False, {})
    write_forecast(tmp_path, plan, scores, result)
    data = json.loads((tmp_path / JSON).read_text())
    assert (data["curve"], data["gain"], data["spread"], data["predicted"]) == (
        None,
        None,
        None,
        [],
    )
