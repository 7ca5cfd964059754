"""Numbers in sentences."""

from __future__ import annotations

from collections.abc import Iterable


def counted(count: int, noun: str) -> str:
    """As in "1 case" and "2 cases"."""
    return f"{count} {noun}{'s' * (count != 1)}"


def agreeing(count: int, one: str, many: str) -> str:
    """The verb's form that goes with ``count``, such as "has" or "have"."""
    return one if count == 1 else many


def pixel_size(spacing: Iterable[float]) -> str:
    """The size of pixels (y, x) in mm, as in "0.43 x 0.43 mm"."""
    return f"{' x '.join(f'{side:.3g}' for side in spacing)} mm"
