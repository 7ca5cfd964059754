"""How far a stage of the work is, and how long it will still take."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

# Seconds between two lines of progress where there is no bar.
_LINE_EVERY = 10.0


def clock(seconds: float) -> str:
    """Seconds as 2:03 or 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclass
class Stage:
    """How far a stage is, how long it will still take, and when a line about it is due.

    Attributes:
        name: for people.
        total: units to be done; 0: unknown.
        unit: what they are.
        at_once: units that are worked on at the same time.
        begun_at: units that were done before: they say nothing about the speed.
        started: when, by `time.monotonic`.
        done: units so far.
    """

    name: str = ""
    total: int = 0
    unit: str = ""
    at_once: int = 1
    begun_at: float = 0
    started: float = field(default_factory=lambda: time.monotonic())
    done: float = field(init=False)

    def __post_init__(self) -> None:
        self.done = self.begun_at
        self._reported = self._reached = self.started
        self._left: float | None = None

    def reach(self, done: float, left: float | None = None) -> None:
        """So many units are done; ``left`` are the seconds that the recipe expects."""
        self.done, self._left, self._reached = done, left, time.monotonic()

    def due(self, now: float) -> bool:
        """Whether a line is; then the next is due some time later."""
        if not self.ended and now - self._reported < _LINE_EVERY:
            return False
        self._reported = now
        return True

    def count(self) -> str:
        """As in "3/8 cases"; the one in progress is not among those that are done."""
        done = int(self.done)
        if self.unit == "second":
            return f"{clock(done)} of {clock(self.total)}"
        plural = "es" if self.unit.endswith(("ch", "s")) else "s"
        return f"{done}/{self.total} {self.unit}{plural}" if self.total else f"{done}"

    def line(self, now: str) -> str:
        """The stage in one line; ``now`` is what is being worked on."""
        left = self.left(time.monotonic())
        parts = [f"{self.name} {self.count()}", now]
        if left is not None:
            parts.append(f"{clock(left)} left")
        return ", ".join(filter(None, parts))

    def left(self, now: float) -> float | None:
        """Seconds until the end; None: nothing is known yet, or the end is reached.

        It counts down between two reports, and never to less than a second.
        """
        since = now - self._reached
        if self._left is not None:
            return max(self._left - since, 1.0)
        if self.ended or not self.total:
            return None
        if self.unit == "second":
            return max(self.total - self.done - since, 1.0)
        if self.done <= self.begun_at:
            return None
        todo, done = self.total - self.begun_at, self.done - self.begun_at
        if self.at_once > 1:
            # When the first of several is done, the others nearly are.
            done = min(max(done, self.at_once), todo)
        return max((self._reached - self.started) / done * (todo - done) - since, 1.0)

    @property
    def ended(self) -> bool:
        """Whether all of it is done, and nothing that its recipe still expects to take time."""
        return 0 < self.total <= self.done and self._left is None
