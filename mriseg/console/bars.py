"""Events as lines in a terminal, with a progress bar below them."""

from __future__ import annotations

import time
from collections.abc import Sequence

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

from mriseg.console.drawing import now
from mriseg.console.lines import Lines
from mriseg.console.stage import clock
from mriseg.core.wording import visible
from mriseg.events import Advanced

# Columns of a terminal for a short bar, both times, and the spaces between.
_BAR_AND_TIMES = 10 + 7 + 12 + 5
# Seconds between two drawings of a bar.
_DRAW_EVERY = 0.1


class Bars(Lines):
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
        """A new bar, in the place of the last."""
        self._end()
        self._drawn = 0.0
        self.progress.start()
        total = self.stage.total or None
        self.task = self.progress.add_task(
            self.stage.name, total=total, count=self.stage.count(), now=""
        )
        self.progress.update(self.task, completed=self.stage.done)

    def advanced(self, event: Advanced) -> None:
        """The bar grows."""
        if self.task is not None:
            self.progress.update(
                self.task,
                completed=event.done,
                count=self.stage.count(),
                now=visible(self._fitting(now(event, ended=self.stage.ended))),
                refresh=self._due(event.done),
            )

    def close(self) -> None:
        """Take the bar away."""
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
        moment = time.monotonic()
        if done < self.stage.total and moment - self._drawn < _DRAW_EVERY:
            return False
        self._drawn = moment
        return True

    def _end(self) -> None:
        if self.task is not None:
            self.progress.remove_task(self.task)
            self.task = None
        self.progress.stop()


class _Left(ProgressColumn):
    """The time left of the stage. rich's own forgets what it saw more than 30 s ago."""

    def __init__(self, bars: Bars) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._bars = bars

    def render(self, task: Task) -> Text:
        """As in "0:12 left"; empty until something is done."""
        left = self._bars.stage.left(time.monotonic())
        return Text("" if left is None else f"{clock(left)} left", style="progress.remaining")
