"""Items in, results out as they are done; what a worker that died was at is done again."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Generic, TypeVar

from mriseg.errors import WorkerError
from mriseg.executors.base import KilledError, LostError, Pool

T = TypeVar("T")
R = TypeVar("R")

# Workers that an item may end.
MOST_DEATHS = 3
# Seconds between two looks at the workers.
_TENDING = 5.0
# Seconds within which an executor that broke says so of all that was under way.
_BREAKING = 10.0


def spread(
    function: Callable[[T], R],
    items: Sequence[T],
    pool: Pool,
    named: Callable[[T], str] = str,
) -> Iterator[tuple[T, R]]:
    """``function`` of each item, done by the pool's workers, in the order in which they are done.

    Where an executor says no more than that some worker died, each item that was under way comes
    under suspicion. One that is twice under suspicion is done with nothing beside it, so that the
    third time it is the one.

    Args:
        function: can be pickled, as can the items and the results.
        items: what it is called with.
        pool: who does it. It is not handed more than `Pool.at_once` at a time.
        named: how to call an item in a message.

    Raises:
        WorkerError: an item ended every worker that it was given to, or no more work can be done.
    """
    for step in watched(function, items, pool, named):
        if not isinstance(step, str):
            yield step


def watched(
    function: Callable[[T], R],
    items: Sequence[T],
    pool: Pool,
    named: Callable[[T], str] = str,
) -> Iterator[tuple[T, R] | str]:
    """As `spread`, and in between what a user should know of the workers, as sentences."""
    queue = _Queue(function, items, pool)
    try:
        while queue.fill():
            if remark := pool.tend():
                yield remark
            for item, outcome in queue.finished():
                if isinstance(outcome, KilledError):
                    raise _killed(named(item), outcome, pool)
                if isinstance(outcome, BaseException):
                    raise outcome
                yield item, outcome.value
    finally:
        queue.cancel()


class _Value(Generic[R]):
    """What a function returned, which may itself be an exception."""

    def __init__(self, value: R) -> None:
        self.value = value


class _Queue(Generic[T, R]):
    """What is left to be done and what is under way, by the items' numbers."""

    def __init__(self, function: Callable[[T], R], items: Sequence[T], pool: Pool) -> None:
        self._function, self._items, self._pool = function, items, pool
        self._left = deque(range(len(items)))
        self._running: dict[Future[R], int] = {}
        self._deaths: Counter[int] = Counter()

    def fill(self) -> bool:
        """Hand out what may be handed out now; whether anything is under way then."""
        while self._left and self._may_start(self._left[0]):
            number = self._left[0]
            try:
                future = self._pool.executor.submit(self._function, self._items[number])
            except Exception as error:
                meaning = self._pool.meaning(error)
                if not isinstance(meaning, LostError):
                    raise meaning from None
                if self._running:  # their futures say what happened
                    break
                self._pool.renew()
                continue
            self._left.popleft()
            self._running[future] = number
        return bool(self._running)

    def finished(self) -> Iterator[tuple[T, _Value[R] | BaseException]]:
        """Wait for some of those under way: each item, and its value or the error to raise."""
        done, _ = wait(self._running, _TENDING, return_when=FIRST_COMPLETED)
        lost: list[int] = []
        while done:
            for future in done:
                number = self._running.pop(future)
                outcome = self._outcome(future)
                if isinstance(outcome, LostError):
                    lost.append(number)
                else:
                    yield self._items[number], outcome
            # An executor that broke has done so to all that was under way.
            done = wait(self._running, _BREAKING).done if lost else set()
        if lost:
            self._deaths.update(lost)
            for number in lost:
                if self._deaths[number] >= MOST_DEATHS:
                    yield self._items[number], KilledError(MOST_DEATHS)
            self._again(lost)

    def cancel(self) -> None:
        """Take back what nobody has begun with."""
        for future in self._running:
            future.cancel()

    def _may_start(self, number: int) -> bool:
        if self._is_suspect(number):
            return not self._running
        suspects = any(map(self._is_suspect, self._running.values()))
        return not suspects and len(self._running) < self._pool.at_once

    def _is_suspect(self, number: int) -> bool:
        return self._deaths[number] >= MOST_DEATHS - 1

    def _outcome(self, future: Future[R]) -> _Value[R] | BaseException:
        try:
            return _Value(future.result())
        except BaseException as error:
            return self._pool.meaning(error)

    def _again(self, lost: Sequence[int]) -> None:
        """Make the pool whole again, and put what was lost where it comes next."""
        self._pool.renew()
        # Those under the least suspicion first: they are done side by side.
        again = sorted([*lost, *self._running.values()], key=lambda n: (self._deaths[n], n))
        self._running.clear()
        self._left.extendleft(reversed(again))


def _killed(name: str, error: KilledError, pool: Pool) -> WorkerError:
    return WorkerError(
        f"{name}: its worker was killed {error.times} times while it was at work on it, most "
        f"likely because memory ran out; {pool.advice}"
    )
