"""Items are handed out a few at a time, and what a worker that died was at is done again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mriseg.errors import WorkerError
from mriseg.executors.base import LostError
from mriseg.executors.given import GivenPool
from mriseg.executors.spreading import MOST_DEATHS, spread, watched


def test_few_items_are_under_way() -> None:
    running, most, lock = 0, 0, threading.Lock()
    wait = threading.Event()

    def counted(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        wait.wait(0.01)
        with lock:
            running -= 1
        return number

    with ThreadPoolExecutor(8) as executor:
        done = dict(spread(counted, range(20), GivenPool(executor, 2)))
    assert done == {number: number for number in range(20)}
    assert 1 < most <= 3


class Breaking(Executor):
    """Does three items side by side; one of ``killers`` breaks it, as a killed process does.

    Args:
        killers: item -> how often it still kills its worker.
    """

    def __init__(self, killers: dict[int, int]) -> None:
        self.killers = killers
        self.waiting: list[tuple[Future[Any], Callable[[int], Any], int]] = []
        self.broken = False

    def submit(self, function: Any, /, *args: Any, **_: Any) -> Future[Any]:
        if self.broken:
            raise BrokenProcessPool("it is broken")
        future: Future[Any] = Future()
        self.waiting.append((future, function, args[0]))
        return future

    def work(self) -> None:
        under_way, self.waiting = self.waiting, []
        killer = next((item for _, _, item in under_way if self.killers.get(item, 0)), None)
        if killer is not None:
            self.killers[killer] -= 1
            self.broken = True
        for future, function, item in under_way:
            if self.broken:
                future.set_exception(BrokenProcessPool("a process ended"))
            else:
                future.set_result(function(item))


class BreakingPool:
    """Workers that are whole again after each break."""

    place, advice, packages = "here", "leave it out", ()

    def __init__(self, killers: Mapping[int, int]) -> None:
        self.killers = dict(killers)
        self.renew()

    def tend(self) -> str:
        self._executor.work()
        return ""

    def renew(self) -> None:
        self._executor = Breaking(self.killers)

    @property
    def executor(self) -> Executor:
        return self._executor

    @property
    def at_once(self) -> int:
        return 3

    def meaning(self, error: BaseException) -> BaseException:
        return LostError() if isinstance(error, BrokenProcessPool) else error

    def on_each(self, function: Any, item: Any) -> Mapping[str, Any]:
        raise AssertionError("nobody asks")


def done(pool: BreakingPool, count: int) -> Iterator[tuple[int, int]]:
    yield from spread(lambda item: -item, range(count), pool, lambda item: f"case {item}")


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 12), st.dictionaries(st.integers(0, 11), st.integers(1, MOST_DEATHS + 2)))
def test_an_item_that_ends_workers_again_and_again_is_blamed_and_never_an_innocent_one(
    count: int, killers: dict[int, int]
) -> None:
    guilty = {item for item, times in killers.items() if times >= MOST_DEATHS and item < count}
    results: dict[int, int] = {}
    try:
        for item, result in done(BreakingPool(killers), count):
            assert item not in results
            results[item] = result
    except WorkerError as error:
        [blamed] = [item for item in range(count) if str(error).startswith(f"case {item}:")]
        # The third time it was alone with its worker.
        assert blamed in killers and blamed not in results
    else:
        assert not guilty
        assert results == {item: -item for item in range(count)}


class RemarkingPool(BreakingPool):
    """Workers of which something is to be said, once."""

    remarks = ("", "it has no workers now", "")

    def tend(self) -> str:
        super().tend()
        remark, *rest = self.remarks
        self.remarks = (*rest, "")
        return remark


def test_what_a_pool_says_of_its_workers_is_passed_on_between_the_results() -> None:
    steps = list(watched(abs, range(5), RemarkingPool({})))
    assert steps.count("it has no workers now") == 1
    assert sorted(step for step in steps if isinstance(step, tuple)) == [(n, n) for n in range(5)]
    assert dict(spread(abs, range(5), RemarkingPool({}))) == {n: n for n in range(5)}


def test_a_broken_executor_of_somebody_elses_is_said() -> None:
    executor = Breaking({0: 1})
    executor.submit(abs, 0)
    executor.work()
    with pytest.raises(WorkerError, match="the executor that was given does no more work"):
        list(spread(abs, [0, 1, 2, 3], GivenPool(executor, 2)))
