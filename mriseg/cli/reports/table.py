"""How tables, pairs and numbers are drawn, for everything the commands show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mriseg.cli.render import say
from mriseg.core.wording import visible

# Characters. Longer cells with spaces are sentences, which may be folded; names and numbers may
# not.
_SENTENCE = 24


def table(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    text: int | None = None,
    optional: Sequence[str] = (),
) -> tuple[str, ...]:
    """A table in which no name and no number is broken.

    Args:
        console: where to draw.
        columns: their headings.
        rows: the cells.
        text: how many of the first columns are aligned to the left; None: all without numbers.
        optional: headings of columns that a narrow terminal does without, in this order.

    Returns:
        The columns that were left out.
    """
    cells = [[visible(cell) for cell in row] for row in rows]
    kept, droppable = list(range(len(columns))), list(optional)
    # A minimum that is measured within the console's width is never larger.
    unlimited = console.options.update(width=10**6)
    drawn = _drawn(columns, cells, text, kept, tall=False)
    while console.measure(drawn, options=unlimited).minimum > console.width:
        narrowest = _drawn(columns, cells, text, kept, tall=True)
        fits = console.measure(narrowest, options=unlimited).minimum <= console.width
        drawn = narrowest
        if fits or not droppable:
            break
        kept.remove(columns.index(droppable.pop(0)))
        drawn = _drawn(columns, cells, text, kept, tall=False)
    console.print(drawn)
    return tuple(optional[: len(optional) - len(droppable)])


def _drawn(
    columns: Sequence[str],
    cells: Sequence[Sequence[str]],
    text: int | None,
    kept: Sequence[int],
    *,
    tall: bool,
) -> Table:
    """The table of the columns that are kept; ``tall``: with a line per word in the headings."""
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index in kept:
        column = [row[index] for row in cells]
        left = index < text if text is not None else not all(map(_is_number, column))
        heading = visible(columns[index])
        heading = heading.replace(" ", "\n") if tall else heading
        folds = any(map(_may_fold, column))
        drawn.add_column(
            Text(heading),
            justify="left" if left or folds else "right",
            overflow="fold",
            no_wrap=not folds,
            min_width=max(map(_least_width, (*column, *heading.splitlines())), default=0),
        )
    for row in cells:
        # As Text, since a name such as [t1] would else be taken for markup.
        drawn.add_row(*(Text(row[index]) for index in kept))
    return drawn


def _may_fold(cell: str) -> bool:
    return "/" in cell or (" " in cell and len(cell) > _SENTENCE)


def _least_width(cell: str) -> int:
    """Below this a cell would be broken within a word."""
    return min(_SENTENCE, max(map(len, cell.split()))) if _may_fold(cell) else len(cell)


def pairs(console: Console, values: Mapping[str, str]) -> None:
    """One line per pair; those without a value are left out."""
    width = max(map(len, values))
    for key, value in values.items():
        if value:
            say(console, f"{key:<{width}}  {value}")
    console.print()


def number(value: Any, places: int = 3) -> str:
    """With that many decimals; a dash where it is undefined."""
    return "-" if value is None or math.isnan(value) else f"{value:.{places}f}"


def volume(value: float, unit: str) -> str:
    """A volume in mL, or in voxels where ``unit`` is not "mm"."""
    return f"{value:.2f}" if unit == "mm" else f"{value:.0f}"


def _is_number(cell: str) -> bool:
    return cell == "-" or cell.replace(".", "", 1).isdigit()
