from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from mriseg.engine.timing import Timing, timed


def test_a_run_holds_many_actions_where_one_takes_no_time() -> None:
    calls: list[int] = []
    seconds = list(timed(lambda: calls.append(0), budget=0, least=2, most=5))
    assert len(seconds) == 2 and all(one > 0 for one in seconds)
    assert len(calls) > 1000


def test_the_least_number_of_runs_is_kept_beyond_the_budget() -> None:
    product = torch.ones(4, 4)
    runs = list(timed(lambda: product @ product, budget=0, least=3, most=9))
    assert len(runs) == 3


def test_every_run_waits_for_the_device() -> None:
    waits: list[int] = []
    runs = list(timed(lambda: None, lambda: waits.append(0), budget=0, least=3, most=3))
    # One to warm up, one to learn how long an action takes, and one per run.
    assert len(waits) == 2 + len(runs)


def test_it_is_the_median_with_the_extremes() -> None:
    timing = Timing.of([3.0, 1.0, 2.0])
    assert timing == Timing(2.0, 1.0, 3.0, 3)
    assert timing.divided(2) == Timing(1.0, 0.5, 1.5, 3)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=9), st.integers(1, 100))
def test_the_median_lies_between_the_extremes(seconds: list[float], by: int) -> None:
    timing = Timing.of(seconds).divided(by)
    assert timing.low <= timing.median <= timing.high and timing.runs == len(seconds)
