"""What a kind of executor is, and what a pool of its workers promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

T = TypeVar("T")
R = TypeVar("R")


class LostError(Exception):
    """A worker ended while an item was under way; the item has to be done again."""


class KilledError(Exception):
    """An item ended one worker after another, and is not tried any more.

    Attributes:
        times: how many workers.
    """

    def __init__(self, times: int) -> None:
        super().__init__(times)
        self.times = times


class Pool(Protocol):
    """Workers that stand ready."""

    @property
    def place(self) -> str:
        """Where the workers are, for sentences, such as "the Dask scheduler tcp://host:8786"."""

    @property
    def advice(self) -> str:
        """What to do about an item that ends its workers, as the end of a sentence."""

    @property
    def executor(self) -> Executor:
        """Takes the items; after `renew` it may be another."""

    @property
    def at_once(self) -> int:
        """How many items are worth having under way now: one per worker, and one to be next."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Packages beside mriseg's own whose versions have to be the same on all workers."""

    def tend(self) -> str:
        """See to the workers; called every few seconds while items are under way.

        Returns:
            What a user should know of them now; empty: nothing.
        """

    def renew(self) -> None:
        """Replace workers that died, where nobody else does.

        Raises:
            MrisegError: that is not possible.
        """

    def meaning(self, error: BaseException) -> BaseException:
        """What the error of an item's future says.

        Returns:
            A LostError for a worker that died, where the item has to be handed out again; a
            KilledError for an item that ended several; a MrisegError where no more work can be
            done; or the error itself, where the item's function raised it.
        """

    def on_each(self, function: Callable[[T], R], item: T) -> Mapping[str, R | Exception]:
        """Call ``function`` once on every worker, before the work.

        Returns:
            The worker's name, for people -> what the function returned there, or why it could not
            be called.

        Raises:
            MrisegError: there is no worker.
        """


class Kind(Protocol):
    """A kind of executor; an object with these members is registered in ``EXECUTORS``.

    Attributes:
        name: of the kind, as in the registry.
        summary: what it is, in a line.
        elsewhere: whether its workers may be on other machines. What they need is then checked
            before the work, and they are sent absolute paths.
    """

    name: str
    summary: str
    elsewhere: bool

    def pool(self, address: str, workers: int | None) -> AbstractContextManager[Pool]:
        """Workers that stand ready until the block ends, when nothing of them is left running.

        Args:
            address: what stands behind the kind's name and a colon; empty: nothing.
            workers: how many were asked for; None: no number was given.

        Raises:
            ConfigError: the address or the number means nothing to this kind.
            WorkerError: there are no workers.
        """
