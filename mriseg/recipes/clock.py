"""How far a training is, in epochs or in seconds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from mriseg.core.config import DEFAULT_EPOCHS, TrainConfig


class Clock:
    """Measures a training against its epochs or its budget.

    The time is read in `tick` alone; everything else is a function of what that read. So where
    several processes train together, one of them can read it for all.

    Args:
        config: says how many epochs, or how many seconds.
        batches: steps per epoch.
        seconds: spent before, by a training that resumes.
        now: reads the time in seconds.

    Attributes:
        epochs: how many there will be; None where the budget is of time.
        seconds: spent on this training as of the last `tick`, over all its sittings.
    """

    def __init__(
        self,
        config: TrainConfig,
        batches: int,
        seconds: float = 0.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.epochs = config.epochs or (None if config.budget else DEFAULT_EPOCHS)
        self._budget = config.budget or math.inf
        self._batches = batches
        self._now, self._began = now, now() - seconds
        self.seconds = seconds

    def tick(self) -> float:
        """Read the time; the seconds spent."""
        self.seconds = self._now() - self._began
        return self.seconds

    @property
    def unit(self) -> str:
        """What `total` and `done` count."""
        return "step" if self.epochs else "second"

    @property
    def total(self) -> int:
        """Steps, or seconds, of the whole training."""
        return self.epochs * self._batches if self.epochs else int(self._budget)

    def done(self, step: int) -> int:
        """How much of `total` is done after ``step`` steps."""
        return min(step if self.epochs else int(self.seconds), self.total)

    def progress(self, step: int) -> float:
        """The share of the training that is done after ``step`` steps, 0 to 1."""
        return step / self.total if self.epochs else self.seconds / self._budget

    @property
    def is_over(self) -> bool:
        """Whether the budget is spent."""
        return not self.epochs and self.seconds >= self._budget

    def is_last(self, epoch: int) -> bool:
        """Whether the training ends once ``epoch`` epochs are done, or now."""
        return self.is_over or epoch == self.epochs

    def left(self, step: int, speed: float) -> float:
        """Seconds until the end, at ``speed`` steps per second."""
        if not self.epochs:
            return self._budget - self.seconds
        return (self.total - step) / max(speed, 1e-9)
