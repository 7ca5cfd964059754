"""How tables, pairs and numbers are drawn, for all that the commands show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mriseg.cli.render import plain, say


def table(
    console: Console,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    text: int | None = None,
) -> None:
    """A table; the first ``text`` columns (None: all that hold no number) are set to the left."""
    cells = [[plain(cell) for cell in row] for row in rows]
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        column = [row[index] for row in cells]
        left = index < text if text is not None else not all(map(_is_number, column))
        drawn.add_column(Text(plain(name)), justify="left" if left else "right", overflow="fold")
    for row in cells:
        # As Text, since a name such as [t1] would else be taken for markup.
        drawn.add_row(*map(Text, row))
    console.print(drawn)


def pairs(console: Console, values: Mapping[str, str]) -> None:
    """A line a pair; those without a value are left out."""
    width = max(map(len, values))
    for key, value in values.items():
        if value:
            say(console, f"{key:<{width}}  {value}")
    console.print()


def number(value: Any, places: int = 3) -> str:
    """With so many places; a dash where it is undefined."""
    return "-" if value is None or math.isnan(value) else f"{value:.{places}f}"


def _is_number(cell: str) -> bool:
    return cell == "-" or cell.replace(".", "", 1).isdigit()
