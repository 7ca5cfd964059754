"""What a recipe reports while it runs: recipes are generators of events and return their result.

A caller displays, logs or ignores the events; `finish` runs a recipe to its end and returns the
result. Nothing in ``recipes`` prints.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar


@dataclass(frozen=True)
class Event:
    """The base class of everything that a recipe reports."""


@dataclass(frozen=True)
class Began(Event):
    """A stage of the work began: ``total`` units of ``unit`` are to be done (0: unknown)."""

    stage: str
    total: int
    unit: str


@dataclass(frozen=True)
class Advanced(Event):
    """``done`` units of the stage are done so far; ``numbers`` are for display (loss, images/s)."""

    stage: str
    done: int
    numbers: Mapping[str, float] = field(default_factory=dict)
    item: str = ""


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
class Wrote(Event):
    """A file or folder was finished."""

    path: Path
    what: str


R = TypeVar("R")
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
