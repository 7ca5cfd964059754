"""Batches are read ahead, in order, a bounded number of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

from mriseg.io.store.loader import Pace, prefetch


def test_results_come_in_order_whatever_finishes_first() -> None:
    gates = [threading.Event() for _ in range(7)]

    def read(number: int) -> int:
        if number % 2 and number + 1 < len(gates):
            assert gates[number + 1].wait(10)
        gates[number].set()
        return number * number

    assert list(prefetch(range(7), read, threads=4)) == [0, 1, 4, 9, 16, 25, 36]
    assert list(prefetch([], read)) == []


def test_the_first_is_read_alone_and_then_more_at_once_each_time() -> None:
    begun: list[int] = []

    def read(number: int) -> list[int]:
        begun.append(number)
        time.sleep(0.02)  # whatever else may begin, does so now
        return list(begun)

    results = prefetch(range(40), read, pace=Pace(least=8, most=8))
    assert next(results) == [0]
    # As many were begun as were handed out, and one more than twice that wait.
    assert max(next(results)) <= 2
    assert max(next(results)) <= 2 + 4
    assert len(list(results)) == 37


@pytest.mark.parametrize("ahead", [1, 4])
def test_reading_stays_a_bounded_number_ahead(ahead: int) -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            asked.append(number)
            yield number

    for done, _ in enumerate(prefetch(items(), lambda n: n, threads=2, ahead=ahead)):
        assert len(asked) <= done + ahead + 1
    assert len(asked) == 100


def test_an_error_is_raised_in_place_of_its_result() -> None:
    def read(number: int) -> int:
        if number == 2:
            raise KeyError("broken")
        return number

    batches = prefetch(range(5), read)
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(KeyError, match="broken"):
        next(batches)
    assert next(batches, None) is None


def test_a_caller_that_stops_early_leaves_no_thread() -> None:
    batches = prefetch(range(1000), lambda n: n, threads=3)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name.startswith("mriseg-read"):
            thread.join(10)
            assert not thread.is_alive()


class Result:
    pass


@pytest.mark.parametrize("ahead", [0, 1, 4])
def test_results_in_memory_stay_bounded(ahead: int) -> None:
    alive: weakref.WeakSet[Result] = weakref.WeakSet()

    def read(number: int) -> Result:
        result = Result()
        alive.add(result)
        return result

    for batch in prefetch(range(50), read, threads=3, ahead=ahead):
        # Those ahead, one being read, and the one in use.
        assert len(alive) <= ahead + 2, len(alive)
        del batch


# Ctrl-C is handled even where the tests run in the background and are to ignore it.
CTRL_C = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from mriseg.io.store.loader import Pace, prefetch
def read(number):
    time.sleep(0.05)
    return number
for number in prefetch(range(10**9), read):
    print(number, flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent as POSIX does")
def test_ctrl_c_ends_it() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CTRL_C], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    # Whatever fails in this block, the process does not keep running.
    with process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "0\n"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGINT and errors.rstrip().endswith("KeyboardInterrupt")


def test_slow_reads_are_begun_earlier_and_stay_bounded() -> None:
    pace, under_way, most = Pace(least=2, most=8), [0], [0]
    lock = threading.Lock()

    def read(number: int) -> int:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        time.sleep(0.03)
        with lock:
            under_way[0] -= 1
        return number

    seen = []
    for number in prefetch(range(60), read, pace=pace):
        seen.append(number)
        time.sleep(0.01)
    assert seen == list(range(60))
    assert 4 <= most[0] <= 9 and 5 <= pace.ahead <= 8


def test_the_pace_follows_what_is_measured() -> None:
    pace = Pace(least=4, most=32)
    assert pace.ahead == 4, "until something was measured"
    pace.measured(1.0)
    pace.left_alone(0.2)
    assert pace.ahead == 10
    for _ in range(50):
        pace.measured(0.01)
    assert pace.ahead == 4
    for _ in range(50):
        pace.left_alone(0.0)
        pace.measured(9.0)
    assert pace.ahead == 32 and Pace(4, 4).ahead == 4 == Pace(4, 1).most
