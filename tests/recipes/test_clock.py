from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.config import TrainConfig
from mriseg.recipes.clock import Clock


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_epochs_are_counted_in_steps_whatever_the_time() -> None:
    time = Time()
    clock = Clock(TrainConfig(epochs=4), batches=10, now=time)
    time.now += 1e6
    clock.tick()
    assert (clock.total, clock.unit, clock.done(20)) == (40, "step", 20)
    assert clock.progress(20) == 0.5 and not clock.is_over
    assert clock.is_last(4) and not clock.is_last(3)
    assert clock.left(20, speed=2.0) == 10


def test_a_budget_is_counted_in_seconds_over_all_sittings() -> None:
    time = Time()
    clock = Clock(TrainConfig(budget=60.0), batches=10, seconds=15.0, now=time)
    time.now += 15
    assert clock.seconds == 15  # nothing passes between two looks at the time
    assert clock.tick() == 30
    assert (clock.total, clock.unit, clock.done(7)) == (60, "second", 30)
    assert clock.progress(7) == 0.5 and clock.left(7, speed=0.1) == 30
    assert not clock.is_over and not clock.is_last(1000)
    time.now += 31
    clock.tick()
    assert clock.is_over and clock.is_last(1) and clock.done(7) == 60


@given(
    budget=st.floats(20, 1e4),
    ending=st.floats(0, 5),
    step=st.floats(0.01, 2),
    setup=st.floats(0, 3),
)
def test_steps_are_taken_until_the_end_has_to_begin(
    budget: float, ending: float, step: float, setup: float
) -> None:
    step = max(step, budget / 500)
    time = Time()
    clock = Clock(TrainConfig(budget=budget), 10, setup, paused=setup, ending=ending, now=time)
    clock.step_seconds = step
    shares = []
    while not clock.is_over:
        shares.append(clock.progress(len(shares)))
        time.now += step
        clock.tick()
    # What is kept for the end suffices, though it takes a tenth longer, and not a step was lost.
    assert clock.seconds + 1.1 * ending <= budget + 1e-6
    assert clock.seconds + 1.1 * ending + step > budget - 1e-6
    # The schedule begins at 0, and would end with the step that there was no time for.
    assert shares[0] == 0 and shares == sorted(shares) and shares[-1] < 1
    steps = len(shares)
    assert shares[-1] >= (steps - 1) / (steps + 1) - 1e-6


def test_the_schedule_stands_still_while_no_step_is_taken() -> None:
    time = Time()
    clock = Clock(TrainConfig(budget=100.0), batches=10, ending=10.0, now=time)
    time.now += 30
    clock.tick()
    # 89 s are for steps.
    assert clock.progress(1) == pytest.approx(30 / 89)
    clock.pause()
    time.now += 20
    clock.tick()
    assert clock.paused == 20
    time.now += 5
    clock.go_on()
    assert (clock.seconds, clock.paused) == (55, 25)
    # 30 s of steps are over, and 34 s are left for them.
    assert clock.progress(1) == pytest.approx(30 / 64)
    time.now += 34
    clock.tick()
    assert clock.progress(1) == 1 and clock.is_over
    # It does not fall where less is to be kept.
    clock.ending = 5.0
    assert clock.progress(1) == 1


def test_a_validation_that_no_step_could_follow_is_not_afforded() -> None:
    time = Time()
    clock = Clock(TrainConfig(budget=100.0), batches=10, ending=20.0, now=time)
    clock.step_seconds = 5.0
    for now, affords in ((50.0, True), (51.1, False), (72.9, False)):
        time.now = 100 + now
        clock.tick()
        assert clock.affords_validation is affords and not clock.is_over
    time.now = 100 + 73.1
    clock.tick()
    assert clock.is_over and clock.least == pytest.approx(73.1 + 5 + 22)
    # Epochs afford all of them.
    assert Clock(TrainConfig(epochs=4), batches=10, ending=1e9).affords_validation


def test_without_either_there_are_the_default_epochs() -> None:
    clock = Clock(TrainConfig(), batches=3)
    assert clock.epochs == 50 and clock.total == 150
    assert clock.progress(75) == pytest.approx(0.5)
