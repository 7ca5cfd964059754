"""What a recipe reports while it runs: recipes are generators of events and return their result.

A caller displays, logs or ignores the events; `finish` runs a recipe to its end and returns the
result. Nothing in ``recipes`` prints.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar


@dataclass(frozen=True)
class Event:
    """The base class of everything that a recipe reports."""


@dataclass(frozen=True)
class Began(Event):
    """A stage of the work began: ``total`` units of ``unit`` are to be done (0: unknown).

    ``done`` of them were done before, as in a training that resumes, and say nothing of the speed.
    ``at_once`` of them are worked on at the same time.
    """

    stage: str
    total: int
    unit: str
    done: float = 0
    at_once: int = 1


@dataclass(frozen=True)
class Advanced(Event):
    """``done`` units of the stage are done so far, the last of them possibly in part.

    ``numbers`` are for display (loss, images/s), and ``item`` is what is being worked on. ``left``
    are the seconds that the stage will still take, where the recipe knows more than that it goes
    on at the same speed.
    """

    stage: str
    done: float
    numbers: Mapping[str, float] = field(default_factory=dict)
    item: str = ""
    left: float | None = None


@dataclass(frozen=True)
class Notice(Event):
    """Something the user should know that is not an error."""

    text: str


@dataclass(frozen=True)
class Skipped(Event):
    """A case could not be used; the work continues."""

    case: str
    reason: str


@dataclass(frozen=True)
class Measured(Event):
    """Numbers worth a line of their own (of an epoch, of a patient)."""

    stage: str
    step: int
    numbers: Mapping[str, float]
    note: str = ""


@dataclass(frozen=True)
class Started(Event):
    """The training of the run at ``path`` begins, or goes on after it was stopped.

    Its settings are in its folder; the numbers of each epoch come as `Measured`.
    """

    path: Path


@dataclass(frozen=True)
class Wrote(Event):
    """A file or folder was finished."""

    path: Path
    what: str


R = TypeVar("R")
T = TypeVar("T")
U = TypeVar("U")
Recipe = Generator[Event, None, R]


def finish(recipe: Recipe[R], on_event: Callable[[Event], None] | None = None) -> R:
    """Run ``recipe`` to its end and return its result, handing each event to ``on_event``."""
    # Closed explicitly, so that a stopped recipe has cleaned up before the exception reaches the
    # caller.
    with closing(recipe):
        while True:
            try:
                event = next(recipe)
            except StopIteration as end:
                result: R = end.value
                return result
            if on_event is not None:
                on_event(event)


def passed(recipe: Recipe[R], on: Callable[[Event], Iterable[Event]]) -> Recipe[R]:
    """``recipe`` with the events that ``on`` gives in the place of each; its result as it is.

    ``on`` may be a generator function: what it does between its events is done between them.
    """
    with closing(recipe):
        while True:
            try:
                event = next(recipe)
            except StopIteration as end:
                result: R = end.value
                return result
            yield from on(event)


def filtered(recipe: Recipe[R], replace: Callable[[Event], Event | None]) -> Recipe[R]:
    """``recipe`` with each event replaced, or dropped: a hundred trainings yield too many."""

    def on(event: Event) -> Iterator[Event]:
        if (replaced := replace(event)) is not None:
            yield replaced

    return passed(recipe, on)


Partly = Generator[float, None, R]
"""Work that yields how much of it is done, mostly as a share of 0 to 1, and returns its result."""


class Doing(float):
    """How much of some work is done, with what is being done now."""

    what: str

    def __new__(cls, share: float, what: str) -> Doing:
        """``share`` of 0 to 1, and ``what`` in words such as "aligning T1"."""
        doing = super().__new__(cls, share)
        doing.what = what
        return doing


def completed(work: Partly[R]) -> R:
    """Do all of ``work``; its result."""
    return finish(_each(work, lambda _: Event()))


def reporting(work: Partly[R], event: Callable[[float], Event]) -> Recipe[R]:
    """Do all of ``work`` and report as events how much of it is done; its result."""
    return _each(work, event)


def within(work: Partly[R], begin: float, share: float) -> Partly[R]:
    """``work`` as a ``share`` of more of it, of which ``begin`` was done before."""
    return _each(work, lambda part: begin + share * part)


def _each(work: Generator[T, None, R], change: Callable[[T], U]) -> Generator[U, None, R]:
    """``work``, whatever it yields changed."""
    with closing(work):
        while True:
            try:
                item = next(work)
            except StopIteration as end:
                result: R = end.value
                return result
            yield change(item)
