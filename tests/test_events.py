"""Running a recipe to its end: the callback gets every event, and it is always closed."""

from __future__ import annotations

import pytest

from mriseg.events import (
    Advanced,
    Event,
    Notice,
    Partly,
    Recipe,
    completed,
    finish,
    reporting,
    within,
)


def recipe(log: list[str]) -> Recipe[int]:
    try:
        yield Notice("one")
        yield Notice("two")
        return 3
    finally:
        log.append("closed")


def test_the_result_and_the_events_in_order() -> None:
    events: list[Event] = []
    assert finish(recipe([]), events.append) == 3
    assert events == [Notice("one"), Notice("two")]


def test_events_may_be_ignored() -> None:
    assert finish(recipe([])) == 3


def test_a_recipe_is_closed_before_the_error_of_a_callback_reaches_the_caller() -> None:
    log: list[str] = []

    def stop(_: Event) -> None:
        log.append("stopped")
        raise KeyboardInterrupt

    started = recipe(log)
    with pytest.raises(KeyboardInterrupt):
        finish(started, stop)
    # Not left to the garbage collector: ``started`` is still referenced here.
    assert log == ["stopped", "closed"]


def work(log: list[str]) -> Partly[str]:
    try:
        yield 0.5
        yield 1.0
        return "done"
    finally:
        log.append("closed")


def test_the_parts_of_work_become_events_or_parts_of_more() -> None:
    events: list[Event] = []
    report = reporting(work([]), lambda share: Advanced("predict", 3 + share))
    assert finish(report, events.append) == "done"
    assert events == [Advanced("predict", 3.5), Advanced("predict", 4.0)]
    assert list(within(work([]), 0.2, 0.4)) == pytest.approx([0.4, 0.6])
    assert completed(within(work([]), 0.2, 0.4)) == "done"


def test_work_that_is_stopped_is_closed_at_once() -> None:
    log: list[str] = []
    begun = work(log)
    report = reporting(within(begun, 0, 1), lambda _: Notice("part"))
    next(report)
    report.close()
    assert log == ["closed"]
