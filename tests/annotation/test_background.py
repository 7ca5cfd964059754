"""Work in the background: one at a time, told as it goes, stopped between two events."""

from __future__ import annotations

import threading
import time

import pytest

from mriseg.annotation.background import Background
from mriseg.errors import InputError
from mriseg.events import Advanced, Began, Event, Recipe


def steps(gate: threading.Event | None = None, error: Exception | None = None) -> Recipe[str]:
    yield Began("learn", 4, "epoch")
    for number in (1, 2):
        yield Advanced("learn", number)
    if gate is not None:
        gate.wait(10)
    if error is not None:
        raise error
    yield Advanced("learn", 3, left=7.0)
    return "result"


def wait_for(work: Background, state: str) -> None:
    until = time.monotonic() + 10
    while work.progress.state != state:
        assert time.monotonic() < until, work.progress
        time.sleep(0.01)


def test_it_runs_to_its_end_and_gives_its_result() -> None:
    heard: list[Event] = []
    work = Background(heard.append)
    assert work.progress.state == "none"
    assert work.start(steps)
    wait_for(work, "done")
    assert work.result == "result" and len(heard) == 4
    assert (work.progress.stage, work.progress.done, work.progress.total) == ("learn", 3, 4)
    # And again.
    assert work.start(steps)
    wait_for(work, "done")


def test_it_says_how_far_it_is_and_one_runs_at_a_time() -> None:
    gate, work = threading.Event(), Background()
    assert work.start(lambda: steps(gate))
    until = time.monotonic() + 10
    while work.progress.done < 2 and time.monotonic() < until:
        time.sleep(0.01)
    assert not work.start(steps)
    assert work.progress.seconds_left is not None and work.progress.seconds_left >= 0
    work.cancel()
    gate.set()
    wait_for(work, "cancelled")
    work.join(5)
    assert work.result is None


def test_closing_it_cleans_up() -> None:
    cleaned, gate = threading.Event(), threading.Event()

    def careful() -> Recipe[None]:
        try:
            yield Began("a", 1, "b")
            gate.wait(10)
            yield Advanced("a", 1)
            yield Advanced("a", 1)
        finally:
            cleaned.set()

    work = Background()
    work.start(careful)
    work.cancel()
    gate.set()
    assert cleaned.wait(10)


@pytest.mark.parametrize(
    ("error", "said"),
    [(InputError("no case"), "no case"), (KeyError("mistake"), "KeyError: 'mistake'")],
)
def test_it_says_why_it_failed(error: Exception, said: str) -> None:
    work = Background()
    work.start(lambda: steps(error=error))
    wait_for(work, "failed")
    assert work.progress.message == said
