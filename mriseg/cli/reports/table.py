"""How tables, pairs and numbers are drawn, for everything the commands show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mriseg.cli.render import plain, say

# Longer cells with spaces are sentences, which may be folded; names and numbers may not.
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
    cells = [[plain(cell) for cell in row] for row in rows]
    kept = list(range(len(columns)))
    left_out: list[str] = []
    drawn = _drawn(columns, cells, text, kept)
    for name in optional:
        if console.measure(drawn).minimum <= console.width:
            break
        left_out.append(name)
        kept.remove(columns.index(name))
        drawn = _drawn(columns, cells, text, kept)
    console.print(drawn)
    return tuple(left_out)


def _drawn(
    columns: Sequence[str], cells: Sequence[Sequence[str]], text: int | None, kept: Sequence[int]
) -> Table:
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index in kept:
        column = [row[index] for row in cells]
        left = index < text if text is not None else not all(map(_is_number, column))
        widths = [len(cell) for cell in column if not _may_fold(cell)]
        widths += map(len, columns[index].split())
        drawn.add_column(
            Text(plain(columns[index])),
            justify="left" if left else "right",
            overflow="fold",
            min_width=max(widths, default=0),
        )
    for row in cells:
        # As Text, since a name such as [t1] would else be taken for markup.
        drawn.add_row(*(Text(row[index]) for index in kept))
    return drawn


def _may_fold(cell: str) -> bool:
    return "/" in cell or (" " in cell and len(cell) > _SENTENCE)


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


def counted(count: int, noun: str) -> str:
    """As in "1 case" and "2 cases"."""
    return f"{count} {noun}{'s' * (count != 1)}"


def _is_number(cell: str) -> bool:
    return cell == "-" or cell.replace(".", "", 1).isdigit()
