"""What a recipe tells while it runs. Recipes are generators of these and return their result.

A caller draws them, logs them or drops them; `finish` runs a recipe to its end and gives the
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
    """The root of what a recipe tells."""


@dataclass(frozen=True)
class Began(Event):
    """A stage began: ``total`` units of ``unit`` are ahead (0: unknown)."""

    stage: str
    total: int
    unit: str


@dataclass(frozen=True)
class Advanced(Event):
    """``done`` units of the stage are done in all; ``numbers`` are for show (loss, images/s)."""

    stage: str
    done: int
    numbers: Mapping[str, float] = field(default_factory=dict)
    item: str = ""


@dataclass(frozen=True)
class Notice(Event):
    """Something the user should know that is no error."""

    text: str


@dataclass(frozen=True)
class Skipped(Event):
    """A case could not be used; the work goes on."""

    case: str
    reason: str


@dataclass(frozen=True)
class Measured(Event):
    """Numbers worth a line of their own (an epoch's, a patient's)."""

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
    # Closed where it is stopped, so that it has tidied up before anybody hears of it.
    with closing(recipe):
        while True:
            try:
                event = next(recipe)
            except StopIteration as end:
                result: R = end.value
                return result
            if on_event is not None:
                on_event(event)
