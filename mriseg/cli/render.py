"""Events on the terminal, or as plain lines where there is none.

Results go to stdout; progress, notices and errors to stderr, so that a pipe gets the results alone.
Text from files (names, reasons) is shown as is: never as rich's markup, and without the control
characters that a file's name may hold.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from mriseg.cli.stage import Stage, clock
from mriseg.events import Advanced, Began, Event, Measured, Notice, Skipped, Wrote

# Columns of a terminal for a short bar, both times, and the spaces between.
_BAR_AND_TIMES = 10 + 7 + 12 + 5
# Seconds between two drawings of a bar.
_DRAW_EVERY = 0.1
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
        self.stage = Stage()

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
                self.stage = Stage(
                    event.stage, event.total, event.unit, at_once=event.at_once, begun_at=event.done
                )
                self.began()
            case Advanced():
                self.stage.reach(event.done, event.left)
                self.advanced(event)
            # Measured cases are in the table at the end.

    def began(self) -> None:
        """A stage began."""

    def advanced(self, event: Advanced) -> None:
        """The stage advanced."""
        if self.stage.due(time.monotonic()):
            now = ", ".join(_now(event, ended=self.stage.ended))
            say(self.console, self.stage.line(now))

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
            TextColumn("{task.fields[now]}", markup=False),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            _Left(self),
            console=console,
            transient=True,
        )
        self.task: TaskID | None = None
        self._drawn = 0.0

    def began(self) -> None:
        self._end()
        self._drawn = 0.0
        self.progress.start()
        total = self.stage.total or None
        self.task = self.progress.add_task(
            self.stage.name, total=total, count=self.stage.count(), now=""
        )
        self.progress.update(self.task, completed=self.stage.done)

    def advanced(self, event: Advanced) -> None:
        if self.task is not None:
            self.progress.update(
                self.task,
                completed=event.done,
                count=self.stage.count(),
                now=plain(self._fitting(_now(event, ended=self.stage.ended))),
                refresh=self._due(event.done),
            )

    def close(self) -> None:
        self._end()

    def _fitting(self, parts: Sequence[str]) -> str:
        """As many of the parts as leave room for the bar and the times."""
        room = self.console.width - len(self.stage.name) - len(self.stage.count()) - _BAR_AND_TIMES
        text = ""
        for part in parts:
            longer = f"{text}, {part}" if text else part
            if len(longer) > room:
                return text or f"{part[: max(room - 3, 0)]}..."
            text = longer
        return text

    def _due(self, done: float) -> bool:
        """Whether to draw now: small slices are done faster than a terminal is worth drawing."""
        now = time.monotonic()
        if done < self.stage.total and now - self._drawn < _DRAW_EVERY:
            return False
        self._drawn = now
        return True

    def _end(self) -> None:
        if self.task is not None:
            self.progress.remove_task(self.task)
            self.task = None
        self.progress.stop()


class _Left(ProgressColumn):
    """The time left of the stage. rich's own forgets what it saw more than 30 s ago."""

    def __init__(self, bars: _Bars) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._bars = bars

    def render(self, task: Task) -> Text:
        """As in "0:12 left"; empty until something is done."""
        left = self._bars.stage.left(time.monotonic())
        return Text("" if left is None else f"{clock(left)} left", style="progress.remaining")


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


def _now(event: Advanced, *, ended: bool) -> list[str]:
    """What is being worked on, as long as something is, and numbers of it."""
    numbers = (f"{name} {value:.3g}" for name, value in event.numbers.items())
    return [*filter(None, ("" if ended else event.item, *numbers))]
