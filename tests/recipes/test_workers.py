"""Work is spread over any executor, a few items at a time, and a killed process is reported."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mriseg.errors import MrisegError
from mriseg.recipes.workers import default_workers, results, spread


def doubled(number: int) -> int:
    return 2 * number


def ends_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return number


def test_alone_items_are_done_in_order() -> None:
    assert list(results(doubled, [3, 1, 2], 1)) == [6, 2, 4]
    assert list(results(doubled, [], 4)) == [] and list(results(doubled, [1], 4)) == [2]


def test_processes_do_all_of_them() -> None:
    assert sorted(results(doubled, range(7), 2)) == [0, 2, 4, 6, 8, 10, 12]


def test_any_executor_will_do_and_few_items_are_under_way() -> None:
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

    with ThreadPoolExecutor(8) as pool:
        assert sorted(spread(counted, range(20), pool, 3)) == list(range(20))
    assert 1 < most <= 3


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
def test_a_killed_process_is_an_error_with_advice() -> None:
    with pytest.raises(MrisegError, match="was killed.*--workers 1"):
        list(results(ends_at_three, range(6), 2))


def test_there_is_a_worker_per_core_up_to_eight() -> None:
    assert 1 <= default_workers() <= 8
