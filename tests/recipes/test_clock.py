from __future__ import annotations

import pytest

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


def test_without_either_there_are_the_default_epochs() -> None:
    clock = Clock(TrainConfig(), batches=3)
    assert clock.epochs == 50 and clock.total == 150
    assert clock.progress(75) == pytest.approx(0.5)
