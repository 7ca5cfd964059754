"""One part of many cases, for jobs that share them out without knowing of one another."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from mriseg.errors import ConfigError

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """Every ``of``-th item, from the one numbered ``number`` on.

    The parts of a sequence are disjoint, and together they are all of it. Neighbours come into
    different parts, so that the visits of one patient, which take equally long, are shared out.

    Attributes:
        number: which part, counted from 1.
        of: how many parts there are.

    Raises:
        ConfigError: there is no such part.
    """

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of:
            raise ConfigError(
                f"{self} is not a part: the first number counts from 1 to the second, as in 3/10"
            )

    @classmethod
    def parse(cls, text: str) -> Part:
        """The part that ``"3/10"`` names.

        Raises:
            ConfigError: it is not of that form, or there is no such part.
        """
        match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text, re.ASCII)
        if match is None:
            raise ConfigError(f"{text!r} is not a part; write the third of ten parts as 3/10")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def among(self, items: Sequence[T]) -> list[T]:
        """The items of this part, in order; none where there are fewer items than parts."""
        return list(items[self.number - 1 :: self.of])
