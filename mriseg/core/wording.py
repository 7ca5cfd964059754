"""Words, numbers and foreign text in sentences."""

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


def visible(text: str) -> str:
    """``text`` with what does not print, but for line ends, written out as escapes."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def duration(seconds: float) -> str:
    """A length of time to two digits or so, as in "0.4 s", "24 s", "12 min", "2.5 h" and "33 h"."""
    for unit, size, until in (("s", 1.0, 100.0), ("min", 60.0, 100.0), ("h", 3600.0, 72.0)):
        if seconds / size < until:
            return f"{_two_digits(seconds / size)} {unit}"
    return f"{_two_digits(seconds / 86400)} days"


def _two_digits(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:.0f}"
