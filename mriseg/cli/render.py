"""Events on the terminal, or as plain lines where there is none.

Results go to stdout; progress, notices and errors to stderr, so that a pipe gets the results alone.
Text from files (names, reasons) is shown as is: never as rich's markup, and without the control
characters that a file's name may hold.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from mriseg.events import Advanced, Began, Event, Measured, Notice, Skipped, Wrote

# Seconds between two lines of progress where there is no bar.
_LINE_EVERY = 10.0
# Where lines are not cut at a terminal's edge, tables need not be either.
_PLAIN_WIDTH = 200


def results() -> Console:
    """Where results go."""
    return _console(stderr=False)


def messages() -> Console:
    """Where everything else goes."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    return (
        console
        if console.is_terminal
        else Console(stderr=stderr, highlight=False, width=_PLAIN_WIDTH)
    )


def plain(text: str) -> str:
    """``text`` with its control characters, but for line ends, written out."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)


def say(console: Console, text: str, style: str = "") -> None:
    """A line, neither interpreted nor cut off."""
    console.print(Text(plain(text), style=style), soft_wrap=True)


def fail(text: str) -> None:
    """The one message of an error."""
    _final("error: ", "bold red", text)


def stop(text: str) -> None:
    """The one message of a command that was asked to stop, which is not an error."""
    _final("stopped: ", "bold yellow", text)


def _final(label: str, style: str, text: str) -> None:
    messages().print(Text.assemble((label, style), plain(text)), soft_wrap=True)


def as_json(file: str | None, data: Mapping[str, Any]) -> bool:
    """Write ``data`` to ``file``, if one is given; True where that was "-", stdout."""
    if file == "-":
        typer.echo(json.dumps(data, indent=1))
    elif file is not None:
        from mriseg.io.disk.documents import write_json

        write_json(Path(file), data)
    return file == "-"


def clock(seconds: float) -> str:
    """Seconds as 2:03 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def drawing(console: Console | None = None) -> Iterator[Callable[[Event], None]]:
    """A function that draws each event of a recipe it is handed."""
    console = console or messages()
    drawn = _Bars(console) if console.is_terminal else _Lines(console)
    try:
        yield drawn
    finally:
        drawn.close()


class _Lines:
    """One line per event, and a line of progress now and then."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.stage = _Stage()

    def __call__(self, event: Event) -> None:
        match event:
            case Notice(text):
                say(self.console, text)
            case Skipped(case, reason):
                say(self.console, f"skipped {case}: {reason}", "yellow")
            case Wrote(path, what):
                say(self.console, f"wrote {path} ({what})")
            case Measured(stage="epoch"):
                say(self.console, _epoch(event), "bold" if event.note else "")
            case Measured(stage="training"):
                result = f"Dice {event.numbers['dice']:.3f} in {clock(event.numbers['seconds'])}"
                say(self.console, f"{event.note}: {result}")
            case Began():
                self.stage = _Stage(event.stage, event.total, event.unit)
                self.began()
            case Advanced():
                self.stage.reach(event.done)
                self.advanced(event)
            # Measured cases are in the table at the end.

    def began(self) -> None:
        """A stage began."""

    def advanced(self, event: Advanced) -> None:
        """The stage advanced."""
        if self.stage.due(time.monotonic()):
            say(self.console, self.stage.line(event.numbers))

    def close(self) -> None:
        """There will be no more events."""


class _Bars(_Lines):
    """The same lines, with a progress bar below them."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}", markup=False),
            TextColumn("{task.fields[numbers]}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=console,
            transient=True,
        )
        self.task: TaskID | None = None

    def began(self) -> None:
        self._end()
        self.progress.start()
        total = self.stage.total or None
        self.task = self.progress.add_task(self.stage.name, total=total, count="", numbers="")

    def advanced(self, event: Advanced) -> None:
        if self.task is not None:
            self.progress.update(
                self.task,
                completed=event.done,
                count=self.stage.count(),
                numbers=plain(_numbers(event.numbers) or event.item),
                refresh=True,
            )

    def close(self) -> None:
        self._end()

    def _end(self) -> None:
        if self.task is not None:
            self.progress.remove_task(self.task)
            self.task = None
        self.progress.stop()


@dataclass
class _Stage:
    """How far a stage is, and when a line about it is due."""

    name: str = ""
    total: int = 0
    unit: str = ""
    started: float = field(default_factory=time.monotonic)
    done: int = 0
    # Work done before, as in a resumed training, says nothing about the speed.
    first: tuple[float, int] | None = None
    reported: float = field(default_factory=time.monotonic)

    def reach(self, done: int) -> None:
        self.done = done
        if self.first is None:
            self.first = (time.monotonic(), done)

    def due(self, now: float) -> bool:
        ended = 0 < self.total <= self.done
        if not ended and now - self.reported < _LINE_EVERY:
            return False
        self.reported = now
        return True

    def count(self) -> str:
        if self.unit == "second":
            return f"{clock(self.done)} of {clock(self.total)}"
        plural = "es" if self.unit.endswith(("ch", "s")) else "s"
        return f"{self.done}/{self.total} {self.unit}{plural}" if self.total else f"{self.done}"

    def line(self, numbers: Mapping[str, float]) -> str:
        parts = [f"{self.name} {self.count()}", _numbers(numbers)]
        left = self.left(time.monotonic())
        if left is not None:
            parts.append(f"{clock(left)} left")
        return ", ".join(filter(None, parts))

    def left(self, now: float) -> float | None:
        if self.unit == "second":
            return max(self.total - self.done, 0)
        if self.first is None or self.done >= self.total:
            return None
        since, before = self.first
        if self.done == before:
            return None
        return (now - since) / (self.done - before) * (self.total - self.done)


def _epoch(event: Measured) -> str:
    """One line of the table that grows with the epochs."""
    numbers = event.numbers
    parts = [f"epoch {event.step:>4}", f"loss {numbers['loss']:.4f}"]
    regions = {k: v for k, v in numbers.items() if k.startswith("dice_")}
    if "dice" in numbers:
        parts.append(f"Dice {numbers['dice']:.4f}")
    if len(regions) > 1:
        shown = (f"{name.removeprefix('dice_')} {value:.3f}" for name, value in regions.items())
        parts.append(f"({', '.join(shown)})")
    if "images_per_second" in numbers:
        parts.append(f"{numbers['images_per_second']:.1f} images/s")
    if "seconds" in numbers:
        parts.append(clock(numbers["seconds"]))
    return "  ".join([*parts, event.note]).rstrip()


def _numbers(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in numbers.items())
