"""Running a recipe to its end: the callback gets every event, and it is always closed."""

from __future__ import annotations

import pytest

from mriseg.events import Event, Notice, Recipe, finish


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
