"""How charts look: figures, axes, legends and colours, whatever the user's matplotlibrc says.

matplotlib is used through its objects only: pyplot keeps global state and may open windows. It is
known here and in `mriseg.report.charts` alone.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mriseg.io.disk.atomic import replacing
from mriseg.report.drawing import PALETTE, legible

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Text

INK = "#22252b"
_GRID = "#d9dce1"
_DPI = 150
FONT = "DejaVu Sans"  # comes with matplotlib, so that every machine draws the same letters
TITLE_SIZE, LABEL_SIZE, TICK_SIZE = 15, 13, 12

# On white, yellow cannot be seen. The first three are the colours that the pictures give regions.
COLOURS = tuple(f"#{r:02x}{g:02x}{b:02x}" for name, (r, g, b) in PALETTE if name != "yellow")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def new_figure(width: float, height: float, title: str) -> Figure:
    """An empty figure of that size in inches."""
    # Here alone: it takes most of a second, and most commands draw no chart.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        as_written(figure.suptitle(legible(title), font=FONT, fontsize=TITLE_SIZE, color=INK))
    return figure


def style_axes(axes: Axes, y: str, x: str = "") -> Axes:
    """``axes`` in the charts' colours and letters, whatever the user's matplotlibrc says."""
    axes.set_facecolor("white")
    axes.grid(False, axis="x")
    axes.grid(True, axis="y", color=_GRID, lw=1, ls="-")
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    axes.tick_params(labelsize=TICK_SIZE, labelfontfamily=FONT, colors=INK)
    axes.set_ylabel(y, font=FONT, fontsize=LABEL_SIZE, color=INK)
    axes.set_xlabel(x, font=FONT, fontsize=LABEL_SIZE, color=INK)
    return axes


def label_ticks(axes: Axes, places: NDArray[np.float64], words: Sequence[str]) -> list[Text]:
    """Those words below the chart, at those places."""
    axes.set_xticks(places, words, font=FONT, fontsize=TICK_SIZE, color=INK)
    return axes.get_xticklabels()


def legend_below(figure: Figure, handles: Sequence[Line2D], names: Sequence[str]) -> None:
    """A legend below the chart."""
    words = [legible(name) for name in names]
    legend = figure.legend(
        handles=handles,
        labels=["x"] * len(words),  # matplotlib hides a label that begins with "_"
        loc="outside lower center",
        ncols=max(1, min(len(words), 80 // (max(map(len, words)) + 8))),
        frameon=False,
        prop={"family": FONT, "size": TICK_SIZE},
        labelcolor=INK,
    )
    for text, word in zip(legend.get_texts(), words, strict=True):
        as_written(text).set_text(word)


def as_written(text: Text) -> Text:
    """``text`` as it stands: a dollar sign in a name begins no formula."""
    text.set_parse_math(False)
    text.set_usetex(False)
    return text


@dataclass
class Vector:
    """Takes a chart as SVG, in the place of a file's path, to be shown in a page.

    Attributes:
        svg: the drawing; its words are words, so that they can be read aloud and searched.
    """

    svg: str = ""


def save_figure(target: Path | Vector, figure: Figure) -> None:
    """Write a figure as a PNG, whole or not at all, or as SVG; the same bytes for the same figure.

    Raises:
        OutputError: it cannot be written.
    """
    if isinstance(target, Vector):
        target.svg = _svg(figure)
        return
    with replacing(target) as temporary:
        # Without the library's version the bytes are those of the picture alone.
        figure.savefig(
            temporary, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None}
        )


def _svg(figure: Figure) -> str:
    from matplotlib import rc_context

    known = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    file = io.BytesIO()
    # Identifiers are random unless they are salted.
    with rc_context({"svg.hashsalt": "mriseg", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", facecolor="white", metadata=known)
    return file.getvalue().decode()
