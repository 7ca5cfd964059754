"""Charts of numbers: lines and points, drawn with matplotlib.

matplotlib is known here alone, and through its objects only: pyplot keeps global state and may
open windows. A chart is a PNG, the same bytes for the same input, and whole or not there. What is
not a number is left out. Letters and lines are large enough to be read at half size, and who
cannot tell the colours apart has the markers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from numpy.typing import NDArray

from mriseg.errors import InputError
from mriseg.io.drawing import PALETTE, legible
from mriseg.io.files import replacing

_INK = "#22252b"
_GRID = "#d9dce1"
_DPI = 150
_FONT = "DejaVu Sans"  # comes with matplotlib, so that every machine draws the same letters
_TITLE, _LABEL, _TICK = 15, 13, 12

# On white, yellow cannot be seen. The first three are the colours that the pictures give regions.
_COLOURS = tuple(f"#{r:02x}{g:02x}{b:02x}" for name, (r, g, b) in PALETTE if name != "yellow")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def dice_against_cases(
    path: Path,
    sizes: Sequence[int],
    methods: Mapping[str, Sequence[tuple[float, float, float]]],
    title: str,
) -> None:
    """A line a method: Dice over the number of training cases, with bars for the intervals.

    Args:
        path: of the PNG to write.
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
    figure = _figure(8, 5.4, title)
    axes = _axes(figure.add_subplot(), "Dice, mean over cases", f"training cases{scale}")
    span = float(places[-1] - places[0]) if len(places) > 1 else 1.0
    # Beside one another, or the bars of one would hide those of the next.
    shifts = (np.arange(len(methods)) - (len(methods) - 1) / 2) * min(0.012, 0.1 / len(methods))
    handles = []
    for number, (values, shift) in enumerate(zip(methods.values(), shifts * span, strict=True)):
        table = np.array(values, dtype=np.float64).reshape(-1, 3)[order]
        there = np.isfinite(table[:, 0])
        paint, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
        (line,) = axes.plot(
            (places + shift)[there], table[there, 0], color=paint, marker=marker, lw=2.4, ms=8
        )
        barred = there & np.isfinite(table).all(axis=1)
        at, low, high = (places + shift)[barred], table[barred, 1], table[barred, 2]
        axes.vlines(at, low, high, colors=paint, lw=2)
        for ends in (low, high):
            axes.plot(at, ends, "_", color=paint, ms=7, mew=2)
        handles.append(line)
    axes.set_xticks(places, [str(sizes[i]) for i in order], font=_FONT, fontsize=_TICK)
    axes.minorticks_off()
    axes.margins(x=0.06, y=0.06)
    _legend(figure, handles, list(methods))
    _save(path, figure)


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


def _figure(width: float, height: float, title: str) -> Figure:
    """An empty figure of that size in inches."""
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        _plain(figure.suptitle(legible(title), font=_FONT, fontsize=_TITLE, color=_INK))
    return figure


def _axes(axes: Axes, y: str, x: str = "") -> Axes:
    """``axes`` in the charts' dress, whatever the user's matplotlibrc says."""
    axes.set_facecolor("white")
    axes.grid(True, axis="y", color=_GRID, lw=1)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_INK)
    axes.tick_params(labelsize=_TICK, labelfontfamily=_FONT, colors=_INK)
    axes.set_ylabel(y, font=_FONT, fontsize=_LABEL, color=_INK)
    axes.set_xlabel(x, font=_FONT, fontsize=_LABEL, color=_INK)
    return axes


def _legend(figure: Figure, handles: Sequence[Line2D], names: Sequence[str]) -> None:
    """A legend below the chart."""
    words = [legible(name) for name in names]
    legend = figure.legend(
        handles=handles,
        labels=["x"] * len(words),  # matplotlib hides a label that begins with "_"
        loc="outside lower center",
        ncols=max(1, min(len(words), 80 // (max(map(len, words)) + 8))),
        frameon=False,
        prop={"family": _FONT, "size": _TICK},
        labelcolor=_INK,
    )
    for text, word in zip(legend.get_texts(), words, strict=True):
        _plain(text).set_text(word)


def _plain(text: Text) -> Text:
    """``text`` as it stands: a dollar sign in a name begins no formula."""
    text.set_parse_math(False)
    text.set_usetex(False)
    return text


def _save(path: Path, figure: Figure) -> None:
    with replacing(path) as temporary:
        # Without the library's version the bytes are those of the picture alone.
        figure.savefig(temporary, format="png", metadata={"Software": None})
