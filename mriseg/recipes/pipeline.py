"""Work on one item after another, of which the next is begun and the last ended meanwhile.

What computes is the one stage that is done in the caller's thread. While it works on an item,
another thread begins the item after it, and a third ends the one before. No more than these three
are in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeAlias, TypeVar

T = TypeVar("T")
P = TypeVar("P")
A = TypeVar("A")
B = TypeVar("B")
R = TypeVar("R")


@dataclass(frozen=True)
class Outcome(Generic[T, R]):
    """What was done to an item, and what came of it."""

    item: T
    result: R


Work: TypeAlias = Generator[tuple[int, P] | Outcome[T, R], None, None]
"""Items that are done: how far each is, by its number, and what came of it."""


@dataclass(frozen=True)
class Stages(Generic[T, P, A, B, R]):
    """Work on an item in three stages; called, it does one after the other.

    Attributes:
        begin: reads the item; yields how far it is.
        compute: makes something of what was read; likewise. It alone may set what is global.
        end: makes the result of that.
    """

    begin: Callable[[T], Generator[P, None, A]]
    compute: Callable[[T, A], Generator[P, None, B]]
    end: Callable[[T, B], R]

    def __call__(self, item: T) -> Generator[P, None, R]:
        """All of the work on an item."""
        begun = yield from self.begin(item)
        computed = yield from self.compute(item, begun)
        return self.end(item, computed)


def in_turn(work: Callable[[T], Generator[P, None, R]], items: Sequence[T]) -> Work[P, T, R]:
    """Work on each item, one at a time.

    Yields:
        What the work yields, with the item's number, and an outcome per item.
    """
    for number, item in enumerate(items):
        with closing(work(item)) as steps:
            while True:
                try:
                    step = next(steps)
                except StopIteration as end:
                    result: R = end.value
                    break
                yield number, step
        yield Outcome(item, result)


def overlapped(stages: Stages[T, P, A, B, R], items: Sequence[T]) -> Work[P, T, R]:
    """`in_turn` in less time: it yields the same, in the same order.

    What is yielded of an item while the one before is not ended is held back until that is done.
    An error is raised where it would have been. A caller that stops waits until the item before has
    ended, and until the next step of the reading.
    """
    flow = _Flow(stages, items)
    try:
        for number in range(len(items)):
            yield from flow.item(number)
        yield from flow.ended()
    finally:
        flow.close()


class _Flow(Generic[T, P, A, B, R]):
    """The three items that are under way."""

    def __init__(self, stages: Stages[T, P, A, B, R], items: Sequence[T]) -> None:
        self._stages, self._items = stages, items
        self._ahead: _Aside[P, A] | None = None
        self._behind: tuple[T, _Aside[P, R]] | None = None
        self._held: list[tuple[int, P]] = []

    def item(self, number: int) -> Work[P, T, R]:
        """Do an item but for its end, which is begun; and end the one before."""
        item = self._items[number]
        try:
            ahead, self._ahead = self._ahead or _Aside(self._stages.begin(item)), None
            with closing(ahead):
                begun = yield from self._passed(number, ahead.steps())
            if number + 1 < len(self._items):
                self._ahead = _Aside(self._stages.begin(self._items[number + 1]))
            with closing(self._stages.compute(item, begun)) as work:
                del begun, ahead
                computed = yield from self._passed(number, work)
        except Exception:
            # As if one had been done after the other.
            yield from self.ended()
            raise
        yield from self.ended()
        self._behind = item, _Aside(_only(self._stages.end, item, computed))

    def ended(self) -> Work[P, T, R]:
        """Wait for the end of the item before, and pass on what was held back for it."""
        if self._behind is not None:
            (item, aside), self._behind = self._behind, None
            with closing(aside):
                held, self._held = self._held, []  # nothing of it comes after an error
                result = aside.result()
                self._held = held
            yield Outcome(item, result)
        while self._held:
            yield self._held.pop(0)

    def close(self) -> None:
        """Wait for the threads."""
        for aside in (self._ahead, self._behind and self._behind[1]):
            if aside is not None:
                aside.close()

    def _passed(
        self, number: int, work: Generator[P, None, Any]
    ) -> Generator[tuple[int, P] | Outcome[T, R], None, Any]:
        while True:
            try:
                step = next(work)
            except StopIteration as end:
                return end.value
            self._held.append((number, step))
            if self._behind is None or self._behind[1].is_done:
                yield from self.ended()


def _only(end: Callable[[T, B], R], item: T, computed: B) -> Generator[Any, None, R]:
    """The end of an item as work that yields nothing."""
    return end(item, computed)
    yield


class _Aside(Generic[P, R]):
    """Work in a thread of its own, which an interpreter that ends does not wait for."""

    def __init__(self, work: Generator[P, None, R]) -> None:
        self._steps: SimpleQueue[tuple[P] | None] = SimpleQueue()
        self._stopped = threading.Event()
        self._result: R
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=self._run, args=(work,), name="mriseg-aside", daemon=True
        )
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether there is a result, or an error."""
        return not self._thread.is_alive()

    def steps(self) -> Generator[P, None, R]:
        """What the work yields, as it comes; its result."""
        while (step := self._steps.get()) is not None:
            yield step[0]
        if self._error is not None:
            raise self._error
        return self._result

    def result(self) -> R:
        """Wait for the result."""
        steps = self.steps()
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: R = end.value
                return result

    def close(self) -> None:
        """Stop the work at its next step, and wait for that."""
        self._stopped.set()
        self._thread.join()

    def _run(self, work: Generator[P, None, R]) -> None:
        try:
            with closing(work):
                while not self._stopped.is_set():
                    self._steps.put((next(work),))
        except StopIteration as end:
            self._result = end.value
        except BaseException as error:  # it is raised where it is waited for
            self._error = error
        finally:
            self._steps.put(None)
