"""What a training asks of the processes that train with it, and the answers of one that is alone.

A rank is a process of a training by several, as torchrun starts them, numbered from 0. Where there
are several, `mriseg.backends.joined` answers; a process that is alone answers itself, at no cost,
and imports nothing for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")
_NONE: Any = object()


@dataclass(frozen=True)
class Launch:
    """One of several processes, as it was started.

    Attributes:
        rank: its number, from 0.
        world: how many there are.
        local: its number on its machine, which is also that of its GPU.
    """

    rank: int
    world: int
    local: int


class Ranks:
    """The processes that train together: here, one alone.

    All ranks of a training call the same methods in the same order. What is decided by a clock, or
    by a file that one rank alone has, is therefore `agree`d on before anything follows from it.

    Attributes:
        rank: number of this process, from 0.
        world: number of processes.
        speaks: whether this process says what it has to say; of several, the first alone, or one
            that has failed by itself.
    """

    rank: int = 0
    world: int = 1
    speaks: bool = True

    @property
    def first(self) -> bool:
        """Whether this is the process that keeps what is trained, and whose clock counts."""
        return self.rank == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.world > 1

    def own(self, items: Sequence[T]) -> Sequence[T]:
        """This process's share of the work on ``items``."""
        return items[self.rank :: self.world]

    def agree(self, value: T, *kinds: type) -> T:
        """The first process's ``value``, in all of them.

        Args:
            value: plain, as `mriseg.core.packing` takes it; of no interest in other processes.
            kinds: of dataclasses in it.
        """
        return value

    def gather(self, value: T, *kinds: type) -> list[T]:
        """The ``value`` of each process, in their order, in all of them; as `agree` takes it."""
        return [value]

    def woven(self, done: Sequence[T], *kinds: type) -> list[T]:
        """What all processes made of their `own` items, in the order of those, in all of them."""
        rows = zip_longest(*self.gather(list(done), *kinds), fillvalue=_NONE)
        return [item for row in rows for item in row if item is not _NONE]

    def same_(self, tensors: Iterable[Tensor]) -> None:
        """Give ``tensors``, in place, the values that they have in the first process."""

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Add to ``tensors``, in place, what they hold in the other processes."""

    def stacked(self, tensor: Tensor) -> Tensor:
        """The ``tensor`` of each process, all of one shape, as one [process, ...]."""
        return tensor[None]

    def explaining(self) -> AbstractContextManager[None]:
        """The context of all that these processes do together.

        An error in one of them ends the others, too, and each ends with its reason.
        """
        return nullcontext()


ALONE = Ranks()
