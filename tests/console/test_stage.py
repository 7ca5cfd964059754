"""The time left: known from the first news on, and never later forgotten."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.console.stage import Stage, clock


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (9.6, "0:10"), (123, "2:03"), (3600, "1:00:00")]
)
def test_a_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


class Watch:
    """A time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(time, "monotonic", watch)
    return watch


def test_a_line_of_progress_is_due_every_ten_seconds_and_at_the_end(watch: Watch) -> None:
    stage = Stage("train", 100, "step", started=watch.now)
    stage.reach(10)
    assert not stage.due(watch.now + 9)
    assert stage.due(watch.now + 10.5)
    assert not stage.due(watch.now + 12)
    stage.reach(100)
    assert stage.due(watch.now + 12)


def test_what_follows_the_last_step_is_due_every_ten_seconds_too(watch: Watch) -> None:
    stage = Stage("train", 100, "step", started=watch.now)
    # All steps are done, and the recipe expects a validation.
    stage.reach(100, left=30)
    assert not stage.ended and not stage.due(watch.now + 9)
    assert stage.due(watch.now + 10.5)


@given(
    before=st.integers(0, 50),
    done=st.floats(0.01, 49),
    seconds=st.floats(2, 1e5),
    pause=st.floats(0, 1e5),
)
def test_the_time_left_is_that_of_the_speed_so_far_and_counts_down(
    before: int, done: float, seconds: float, pause: float
) -> None:
    watch = Watch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", watch)
        # Work that was done before, as in a resumed training, says nothing about the speed.
        stage = Stage("train", 100, "step", begun_at=before, started=watch.now)
        assert stage.left(watch.now) is None
        watch.now += seconds
        stage.reach(before + done)
        left = seconds / done * (100 - before - done)
        assert stage.left(watch.now) == pytest.approx(max(left, 1))
        watch.now += pause
        assert stage.left(watch.now) == pytest.approx(max(left - pause, 1), abs=1e-3, rel=1e-6)


def test_of_several_at_once_the_first_speaks_for_all(watch: Watch) -> None:
    stage = Stage("preprocess", 40, "case", at_once=4, started=watch.now)
    watch.now += 10
    stage.reach(1)
    # Four took ten seconds, and 36 are left.
    assert stage.left(watch.now) == pytest.approx(90)
    watch.now += 10
    stage.reach(8)
    assert stage.left(watch.now) == pytest.approx(80)
    # More processes than cases: all of them are under way.
    stage = Stage("preprocess", 2, "case", at_once=4, started=watch.now)
    watch.now += 10
    stage.reach(1)
    assert stage.left(watch.now) == 1


def test_what_the_recipe_knows_goes_before_the_speed(watch: Watch) -> None:
    stage = Stage("train", 100, "step", started=watch.now)
    watch.now += 10
    stage.reach(50, left=300)
    assert stage.left(watch.now + 60) == 240
    # A budget's time is known from the start.
    stage = Stage("train", 90, "second", begun_at=30, started=watch.now)
    assert stage.left(watch.now + 20) == 40
    # The last steps are done, and the validation is not.
    stage.reach(90, left=20)
    assert stage.left(watch.now) == 20


def test_nothing_is_left_at_the_end_and_nothing_known_of_an_unknown_total(watch: Watch) -> None:
    stage = Stage("check", 3, "batch", started=watch.now)
    watch.now += 5
    stage.reach(3)
    assert stage.left(watch.now) is None and stage.line("x") == "check 3/3 batches, x"
    stage = Stage("check", 0, "batch", started=watch.now)
    stage.reach(3)
    assert stage.left(watch.now) is None and stage.count() == "3"
