"""The chart of a forecast: the same bytes for the same numbers, with and without a curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mriseg.core.forecast import Forecast, forecast
from mriseg.report.chart_style import Vector
from mriseg.report.forecast_chart import forecast_chart
from tests.core.test_forecast import scored


def sample_forecast(sizes: tuple[int, ...] = (5, 10, 20), folds: int = 3) -> Forecast:
    scores = scored(
        lambda size: 0.9 - 0.9 * size**-0.5, sizes, folds=folds, between=0.05, noise=0.01
    )
    return forecast(scores, now=30, more=10, generator=np.random.default_rng(0), resamples=50)


def test_the_same_bytes_for_the_same_numbers(tmp_path: Path) -> None:
    forecast_chart(tmp_path / "a.png", sample_forecast(), "lgg.zarr")
    forecast_chart(tmp_path / "b.png", sample_forecast(), "lgg.zarr")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 1000


def test_curve_and_forecast_are_told_apart() -> None:
    chart = Vector()
    forecast_chart(chart, sample_forecast(), "")
    for word in ("measured", "curve", "forecast", "training patients"):
        assert word in chart.svg


def test_too_few_points_are_shown_as_they_are() -> None:
    chart = Vector()
    forecast_chart(chart, sample_forecast((5, 10)), "")
    assert "measured" in chart.svg and "forecast" not in chart.svg
