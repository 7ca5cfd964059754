"""The chart of a forecast: what trainings gave, the curve through it, and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mriseg.core.forecast import Forecast
from mriseg.report.chart_style import (
    COLOURS,
    INK,
    Vector,
    legend_below,
    new_figure,
    save_figure,
    style_axes,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

_MEASURED, _CURVE = COLOURS[0], COLOURS[1]


def forecast_chart(path: Path | Vector, forecast: Forecast, title: str) -> None:
    """Dice over the number of training patients: points with bars, and the curve in its band.

    Args:
        path: of the PNG to write; or what takes the chart as SVG.
        forecast: the points and the curve; without a curve, the points alone.
        title: the chart's.

    Raises:
        OutputError: the file cannot be written.
    """
    figure = new_figure(8, 5.4, title)
    axes = style_axes(figure.add_subplot(), "Dice, mean over patients", "training patients")
    handles, names = [_points(axes, forecast)], ["measured"]
    if forecast.predicted:
        handles += _curve(axes, forecast)
        names += ["curve", "forecast"]
        axes.axvline(forecast.now, color=INK, lw=1.2, ls=":")
    axes.locator_params(axis="x", integer=True)
    axes.margins(x=0.04, y=0.06)
    legend_below(figure, handles, names)
    save_figure(path, figure)


def _points(axes: Axes, forecast: Forecast) -> Line2D:
    counts = np.array([point.patients for point in forecast.points])
    dice = np.array([(p.dice.mean, p.dice.low, p.dice.high) for p in forecast.points])
    barred = np.isfinite(dice).all(axis=1)
    axes.vlines(counts[barred], dice[barred, 1], dice[barred, 2], colors=_MEASURED, lw=2, zorder=3)
    (line,) = axes.plot(counts, dice[:, 0], ls="", marker="o", ms=8, color=_MEASURED, zorder=4)
    return line


def _curve(axes: Axes, forecast: Forecast) -> list[Line2D]:
    """The curve as far as trainings reach, and dashed beyond."""
    counts = np.array([item.patients for item in forecast.predicted])
    dice = np.array([(item.dice, item.low, item.high) for item in forecast.predicted])
    axes.fill_between(counts, dice[:, 1], dice[:, 2], color=_CURVE, alpha=0.18, lw=0)
    largest = forecast.points[-1].patients
    lines = []
    for shown, style in ((counts <= largest, "-"), (counts >= np.floor(largest), "--")):
        (line,) = axes.plot(counts[shown], dice[shown, 0], color=_CURVE, lw=2.4, ls=style)
        lines.append(line)
    return lines
