"""How far a training is, in epochs or in seconds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from mriseg.core.config import DEFAULT_EPOCHS, TrainConfig

# What the end is expected to take, in terms of what it was measured to take: a machine is not
# equally busy all the time, and a mask that is not empty takes longer than one that is.
_MARGIN = 1.1


class Clock:
    """Measures a training against its epochs or its budget.

    A budget is for the whole: part of it is kept for the validation, the calibration and the
    writing at the end, and steps are taken until that part begins.

    What is decided is a function of what `tick` read. So where several processes train together,
    one of them reads the time for all, and they decide alike.

    Args:
        config: says how many epochs, or how many seconds.
        batches: steps per epoch.
        seconds: spent before, by a training that resumes.
        ending: seconds that the end takes, if they were measured before.
        paused: seconds of those spent before in which no step was taken.
        now: reads the time in seconds.
        agree: makes a reading that of all processes which train together; each calls it as often
            as the others.

    Attributes:
        epochs: how many there will be; None where the budget is of time.
        seconds: spent on this training as of the last `tick`, over all its sittings.
        ending: seconds that the end takes, as last measured; 0: not measured yet.
        step_seconds: that a step takes now; 0: not measured yet.
    """

    def __init__(
        self,
        config: TrainConfig,
        batches: int,
        seconds: float = 0.0,
        *,
        ending: float = 0.0,
        paused: float = 0.0,
        now: Callable[[], float] = time.monotonic,
        agree: Callable[[float], float] = lambda reading: reading,
    ) -> None:
        self.epochs = config.epochs or (None if config.budget else DEFAULT_EPOCHS)
        self.batches = batches
        self._budget = config.budget or math.inf
        self._now, self._began, self._agree = now, now() - seconds, agree
        self.seconds, self.ending, self.step_seconds = seconds, ending, 0.0
        self._paused, self._since, self._progress = paused, math.inf, 0.0

    def tick(self) -> float:
        """Read the time; the seconds spent, which every process may decide by."""
        self.seconds = self._agree(self._now() - self._began)
        return self.seconds

    def glance(self) -> float:
        """Read this process's own time; the seconds spent, to be shown and not decided by.

        Other processes need not do the same.
        """
        self.seconds = self._now() - self._began
        return self.seconds

    def pause(self) -> None:
        """From now on no step is taken: a validation is not part of the schedule's time."""
        self._since = self.tick()

    def go_on(self) -> None:
        """Steps are taken again."""
        self._paused += self.tick() - self._since
        self._since = math.inf

    @property
    def paused(self) -> float:
        """Seconds, of those spent, in which no step was taken."""
        return self._paused + max(self.seconds - self._since, 0.0)

    @property
    def unit(self) -> str:
        """What `total` and `done` count."""
        return "step" if self.epochs else "second"

    @property
    def total(self) -> int:
        """Steps, or seconds, of the whole training."""
        return self.epochs * self.batches if self.epochs else int(self._budget)

    @property
    def budget(self) -> float:
        """Seconds that there are; infinite where epochs are counted."""
        return self._budget

    @property
    def deadline(self) -> float:
        """Seconds after which no step is taken, of those that `seconds` counts."""
        return max(self._budget - _MARGIN * self.ending, 0.0)

    def done(self, step: int) -> int:
        """How much of `total` is done after ``step`` steps."""
        return min(step if self.epochs else int(self.seconds), self.total)

    def progress(self, step: int) -> float:
        """The share of the steps, or of the time for them, that is over after ``step``, 0 to 1.

        It never falls, though what is kept for the end is measured again and again.
        """
        if self.epochs:
            return step / self.total
        taken = self.seconds - self.paused
        left = max(self.deadline - self.seconds, 0.0)
        share = taken / (taken + left) if left else 1.0
        self._progress = max(self._progress, share)
        return self._progress

    @property
    def is_over(self) -> bool:
        """Whether the budget has no time for another step."""
        return not self.epochs and self.least >= self._budget

    @property
    def least(self) -> float:
        """Seconds that a budget would have to be for one more step, and the end after it."""
        return self.seconds + self.step_seconds + _MARGIN * self.ending

    @property
    def affords_validation(self) -> bool:
        """Whether some of the budget is left for steps after a validation that begins now."""
        return self.least + _MARGIN * self.ending <= self._budget

    def is_last(self, epoch: int) -> bool:
        """Whether the training ends once ``epoch`` epochs are done, or now."""
        return self.is_over or epoch == self.epochs

    def left(self, step: int, speed: float) -> float:
        """Seconds of training that are left, at ``speed`` steps per second."""
        if not self.epochs:
            return self.deadline - self.seconds
        return (self.total - step) / max(speed, 1e-9)
