"""Charts of numbers: lines and points, drawn with matplotlib.

A chart is a PNG, or SVG for a page: the same bytes for the same input, and whole or not there. NaN
is left out. Letters and lines are large enough to be read at half size, and markers differ as the
colours do. How all of them look is in `mriseg.report.chart_style`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mriseg.errors import InputError
from mriseg.report.chart_style import (
    COLOURS,
    FONT,
    INK,
    LABEL_SIZE,
    MARKERS,
    TICK_SIZE,
    Vector,
    as_written,
    label_ticks,
    legend_below,
    new_figure,
    save_figure,
    style_axes,
)
from mriseg.report.drawing import legible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Beyond this many points a line shows where they are, and markers only thicken it.
_FEW = 40


def learning_curves(path: Path | Vector, rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """How a training went: its loss, its validation's Dice and its learning rate over the epochs.

    Args:
        path: of the PNG to write; or what takes the chart as SVG.
        rows: a run's log, one row per epoch, see `mriseg.io.runs.Run.read_log`. Of "loss", "dice",
            "dice_REGION" and "learning_rate", what no row has gets no curve; minutes are shown
            where every row has "seconds".
        title: the chart's.

    Raises:
        InputError: there are no rows.
        OutputError: the file cannot be written.
    """
    if not rows:
        raise InputError("learning curves need at least one finished epoch")
    epochs = _column(rows, "epoch")
    scores = _scores(rows)
    panels = [("loss", 1.0)]
    panels += [("Dice, validation", 1.2)] if scores else []
    panels += [("learning rate", 0.55)]
    figure = new_figure(8, 1.6 + 2.2 * sum(height for _, height in panels), title)
    stack = figure.subplots(
        len(panels),
        sharex=True,
        squeeze=False,
        gridspec_kw={"height_ratios": [height for _, height in panels]},
    )[:, 0]
    for axes, (label, _) in zip(stack, panels, strict=True):
        style_axes(axes, label)
    _curve(stack[0], epochs, _column(rows, "loss"), INK)
    handles = []
    for number, (name, values) in enumerate(scores.items()):
        paint = INK if name == _MEAN else COLOURS[number % len(COLOURS)]
        handles.append(_curve(stack[1], epochs, values, paint, MARKERS[number % len(MARKERS)]))
    if scores:
        _mark_best(stack[1], epochs, scores.get(_MEAN, next(iter(scores.values()))))
        # There is no Dice below 0, whatever a margin would show of it.
        stack[1].set_ylim(bottom=max(stack[1].get_ylim()[0], -0.02))
        legend_below(figure, handles, list(scores))
    _curve(stack[-1], epochs, _column(rows, "learning_rate"), INK)
    stack[-1].set_ylim(bottom=0)
    stack[-1].ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=False)
    stack[-1].yaxis.get_offset_text().set(font=FONT, fontsize=TICK_SIZE, color=INK)
    stack[-1].set_xlabel("epoch", font=FONT, fontsize=LABEL_SIZE, color=INK)
    stack[-1].xaxis.get_major_locator().set_params(integer=True)
    if len(rows) == 1:
        stack[-1].set_xlim(epochs[0] - 1, epochs[0] + 1)
    _minutes(stack[0], epochs, _column(rows, "seconds") / 60)
    save_figure(path, figure)


_MEAN = "mean of the regions"


def _scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, NDArray[np.float64]]:
    """Region -> validation Dice of each row, and the mean where there are several."""
    keys = dict.fromkeys(key for row in rows for key in row if key.startswith("dice_"))
    scores = {key.removeprefix("dice_"): _column(rows, key) for key in keys}
    if len(scores) != 1 and any("dice" in row for row in rows):
        scores[_MEAN] = _column(rows, "dice")
    return {name: values for name, values in scores.items() if np.isfinite(values).any()}


def _column(rows: Sequence[Mapping[str, Any]], key: str) -> NDArray[np.float64]:
    """The values of one key; nan where a row lacks it."""
    values = (row.get(key) for row in rows)
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _curve(
    axes: Axes,
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    paint: str,
    marker: str = "o",
) -> Line2D:
    """A line through the points that are known: not every epoch is validated."""
    known = np.isfinite(y)
    shown = marker if np.count_nonzero(known) <= _FEW else ""
    (line,) = axes.plot(x[known], y[known], color=paint, lw=2.2, marker=shown, ms=6)
    return line


def _mark_best(axes: Axes, epochs: NDArray[np.float64], scores: NDArray[np.float64]) -> None:
    """A line down from the best score, and in words what and when it was."""
    best = int(np.nanargmax(np.where(np.isfinite(scores), scores, np.nan)))
    axes.axvline(epochs[best], color=INK, lw=1.2, ls=":")
    words = f"best {scores[best]:.3f}, epoch {epochs[best]:.0f}"
    # On the side with more room.
    left = epochs[best] > (epochs[0] + epochs[-1]) / 2
    axes.annotate(
        words,
        (epochs[best], 0),
        xycoords=("data", "axes fraction"),
        xytext=(-6 if left else 6, 8),
        textcoords="offset points",
        ha="right" if left else "left",
        font=FONT,
        fontsize=TICK_SIZE,
        color=INK,
    )


def _minutes(axes: Axes, epochs: NDArray[np.float64], minutes: NDArray[np.float64]) -> None:
    """The time spent, along the upper edge."""
    if not np.isfinite(minutes).all():
        return
    # A log that was cut back may hold a time twice.
    known = np.maximum.accumulate(minutes)
    ticks = _round_numbers(float(known[0]), float(known[-1]))
    top = axes.secondary_xaxis("top")
    top.set_xticks(np.interp(ticks, known, epochs), [f"{tick:g}" for tick in ticks])
    top.set_xlabel("minutes", font=FONT, fontsize=LABEL_SIZE, color=INK)
    top.tick_params(labelsize=TICK_SIZE, labelfontfamily=FONT, colors=INK)
    top.spines["top"].set_color(INK)


def _round_numbers(low: float, high: float, most: int = 6) -> NDArray[np.float64]:
    """At most that many round numbers from ``low`` to ``high``, evenly apart; at least one."""
    if high - low < 1e-3:
        return np.array([float(f"{high:.2g}")])
    power = math.floor(math.log10(high - low)) - 1
    steps = (step * 10.0**more for more in (power, power + 1, power + 2) for step in (1, 2, 5))
    apart = next(step for step in steps if (high - low) / step <= most - 1)
    counted = range(math.ceil(low / apart), math.floor(high / apart) + 1)
    return np.array([number * apart for number in counted], dtype=np.float64)


def dice_of_cases(path: Path | Vector, scores: Mapping[str, Sequence[float]], title: str) -> None:
    """One point per case, region beside region, with quartiles: how well the mean represents them.

    Args:
        path: of the PNG to write; or what takes the chart as SVG.
        scores: region -> Dice of each case; nan where it is undefined.
        title: the chart's.

    Raises:
        InputError: there is no region.
        OutputError: the file cannot be written.
    """
    if not scores:
        raise InputError("a chart of cases needs at least one region")
    tables = [np.array(values, dtype=np.float64) for values in scores.values()]
    tables = [table[np.isfinite(table)] for table in tables]
    figure = new_figure(min(3.2 + 1.8 * len(scores), 16), 5, title)
    axes = style_axes(figure.add_subplot(), "Dice of a case")
    lowest = min((float(table.min()) for table in tables if table.size), default=0.0)
    bottom = min(math.floor(lowest * 10) / 10, 0.9)
    words = []
    for place, (name, table) in enumerate(zip(scores, tables, strict=True)):
        paint, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
        axes.plot(
            place + _spread(table, (1 - bottom) / 40),
            table,
            ls="",
            marker=marker,
            ms=7,
            color=paint,
            mec="white",
            mew=0.6,
        )
        if table.size > _FEW_CASES:
            low, middle, high = np.percentile(table, (25, 50, 75))
            axes.hlines([low, high], place - 0.3, place + 0.3, colors=INK, lw=1.2)
            axes.hlines(middle, place - 0.3, place + 0.3, colors=INK, lw=3)
        summary = (
            f"mean {table.mean():.3f}\nmedian {np.median(table):.3f}" if table.size else "none"
        )
        words.append(f"{legible(name)}\n{summary}")
    for text in label_ticks(axes, np.arange(len(words), dtype=np.float64), words):
        as_written(text)
    axes.set_xlim(-0.6, len(words) - 0.4)
    axes.set_ylim(bottom - (1 - bottom) / 50, 1 + (1 - bottom) / 50)
    save_figure(path, figure)


# Quartiles of fewer than this say less than the points themselves.
_FEW_CASES = 4


def _spread(values: NDArray[np.float64], near: float) -> NDArray[np.float64]:
    """How far to move points aside, so that those of nearly the same value lie side by side."""
    shelves = np.floor(values / near).astype(np.int64)
    moved = np.zeros(values.size)
    for shelf in np.unique(shelves):
        (members,) = np.nonzero(shelves == shelf)
        step = min(0.05, 0.7 / members.size)
        moved[members] = (np.arange(members.size) - (members.size - 1) / 2) * step
    return moved


def dice_against_cases(
    path: Path | Vector,
    sizes: Sequence[int],
    methods: Mapping[str, Sequence[tuple[float, float, float]]],
    title: str,
) -> None:
    """One line per method: Dice over the number of training cases, with bars for the intervals.

    Args:
        path: of the PNG to write; or what takes the chart as SVG.
        sizes: numbers of training cases, in any order.
        methods: name -> (mean, low, high) for each of ``sizes``; where the mean is nan there is no
            point, and where an end is, no bar.
        title: the chart's.

    Raises:
        InputError: there is no method, or one has not as many values as there are sizes.
        OutputError: the file cannot be written.
    """
    if not methods:
        raise InputError("a chart of methods needs at least one")
    for name, values in methods.items():
        if len(values) != len(sizes):
            raise InputError(f"{name} has {len(values)} values for {len(sizes)} sizes")
    order = np.argsort(sizes, kind="stable")
    places, scale = _places([sizes[i] for i in order])
    figure = new_figure(8, 5.4, title)
    axes = style_axes(figure.add_subplot(), "Dice, mean over cases", f"training cases{scale}")
    # A single size has all of the width.
    span = float(places[-1] - places[0]) if len(places) > 1 else 8.0
    # Beside one another, or the bars of one would hide those of the next.
    shifts = (np.arange(len(methods)) - (len(methods) - 1) / 2) * min(0.012, 0.1 / len(methods))
    handles = []
    for number, (values, shift) in enumerate(zip(methods.values(), shifts * span, strict=True)):
        table = np.array(values, dtype=np.float64).reshape(-1, 3)[order]
        known = np.isfinite(table[:, 0])
        paint, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        (line,) = axes.plot(
            (places + shift)[known], table[known, 0], color=paint, marker=marker, lw=2.4, ms=8
        )
        barred = known & np.isfinite(table).all(axis=1)
        at, low, high = (places + shift)[barred], table[barred, 1], table[barred, 2]
        axes.vlines(at, low, high, colors=paint, lw=2)
        for ends in (low, high):
            axes.plot(at, ends, "_", color=paint, ms=7, mew=2)
        handles.append(line)
    label_ticks(axes, places, [str(sizes[i]) for i in order])
    axes.minorticks_off()
    axes.margins(x=0.06, y=0.06)
    if len(places) == 1:
        axes.set_xlim(places[0] - 0.5, places[0] + 0.5)
    legend_below(figure, handles, list(methods))
    save_figure(path, figure)


def _places(sizes: Sequence[int]) -> tuple[NDArray[np.float64], str]:
    """Where ascending sizes lie on an axis, and what its label says of that.

    On a scale of powers, since a doubling is what counts; evenly where that would not do.
    """
    even = np.arange(len(sizes), dtype=np.float64)
    if len(sizes) < 2 or sizes[0] < 1:
        return even, ""
    places = np.log2(np.array(sizes, dtype=np.float64))
    # Numbers that come this close would be printed over one another.
    if np.diff(places).min() < 0.05 * (places[-1] - places[0]) or places[-1] == places[0]:
        return even, ""
    return places, ", on a logarithmic scale"
