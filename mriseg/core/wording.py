"""Numbers in sentences."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """As in "1 case" and "2 cases"."""
    return f"{count} {noun}{'s' * (count != 1)}"


def agreeing(count: int, one: str, many: str) -> str:
    """The verb's form that goes with ``count``, such as "has" or "have"."""
    return one if count == 1 else many
