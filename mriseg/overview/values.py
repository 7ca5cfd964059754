"""What an overview consists of, as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = "report.html"
"""The name of a page, in the folder of what it shows."""


@dataclass(frozen=True)
class Column:
    """A column of the table that people see.

    Attributes:
        key: in the records.
        heading: for people.
        digits: decimals of its numbers.
    """

    key: str
    heading: str
    digits: int = 3


@dataclass(frozen=True)
class Overview:
    """What something shows of itself.

    Attributes:
        title: the one sentence that matters most.
        facts: terms and their values; those without a value are left out.
        records: one per row of a table, with all that is known of it, its numbers in full.
        columns: those that people see; none: no table.
        notes: sentences to be read with it.
        pictures: files of pictures, whether or not they exist.
        page: a page to open in a browser, likewise.
    """

    title: str
    facts: Sequence[tuple[str, str]] = ()
    records: Sequence[Mapping[str, Any]] = ()
    columns: Sequence[Column] = ()
    notes: Sequence[str] = ()
    pictures: Sequence[Path] = ()
    page: Path | None = None


def cell(value: Any, digits: int = 3) -> str:
    """A value for people: "0.853", "T1, FLAIR", "yes"; a dash for what is undefined."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, float):
        return f"{value:,.{digits}f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {cell(item, digits)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(cell(item, digits) for item in value)
    return str(value)


def is_number(value: Any) -> bool:
    """Whether it is aligned as numbers are; what is undefined may be one."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
