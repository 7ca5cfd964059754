"""Batches are read ahead, in order, a bounded number of them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mriseg.io.loader import prefetch


def test_results_come_in_order_whatever_finishes_first() -> None:
    gates = [threading.Event() for _ in range(4)]

    def read(number: int) -> int:
        if number + 1 < len(gates):
            assert gates[number + 1].wait(10)
        gates[number].set()
        return number * number

    assert list(prefetch(range(4), read, threads=4)) == [0, 1, 4, 9]
    assert list(prefetch([], read)) == []


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


def test_an_error_comes_where_its_result_would_have() -> None:
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
