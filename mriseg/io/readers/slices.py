"""Cases whose slices are files of their own, numbered in their names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from mriseg.errors import CaseError

# Numbers that a message lists.
_LISTED = 5

MAX_SIDE = 4096
"""Pixels of a slice's side: a header that claims more is not of a slice of a head."""

MAX_PIXELS = 2**28
"""Of all slices of a case together."""


def ordered(files: Mapping[int, Path]) -> tuple[Path, ...]:
    """Slices in the order of their numbers."""
    return tuple(files[number] for number in sorted(files))


def check_numbers(case: str, numbers: Collection[int], first: int | None = None) -> None:
    """Refuse a case with a slice missing between its first and its last one.

    Args:
        case: its name.
        numbers: of its slices.
        first: the number that the first slice has; None: any.

    Raises:
        CaseError: which slices are missing.
    """
    start = min(numbers) if first is None else first
    missing = set(range(start, max(numbers) + 1)) - set(numbers)
    if missing:
        raise CaseError(case, f"its slices {listed(missing)} are missing")


def listed(numbers: Collection[int]) -> str:
    """The first few of many numbers."""
    shown = ", ".join(str(number) for number in sorted(numbers)[:_LISTED])
    return shown + (f" and {len(numbers) - _LISTED} more" if len(numbers) > _LISTED else "")
