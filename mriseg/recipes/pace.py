"""How long a training takes here, as measured by its first steps."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from mriseg.core.wording import counted, duration

# Windows of steps that say how long a step takes now: the machine may be busier than it was.
_WINDOWS = 20
FULL_STEP = 3.0
"""Times that a step at full resolution takes one at half of it, until it is measured; see
`mriseg.core.resolution`."""

LONG = 3600.0
"""Seconds beyond which a training is long enough to say what would take less."""
WORTH_SAYING = 60.0
"""Seconds of training below which nothing is said: it is over before it is read."""

# What takes less: a network that a processor trains, for as long as one waits for.
_NARROW, _BRIEF = 16, "30m"


class Pace:
    """Seconds per step, at half the resolution and at full.

    Args:
        low_res_share: the share of the steps, from the first on, at half the resolution.

    Attributes:
        announced: whether it was said how long the training will take.
    """

    def __init__(self, low_res_share: float = 0.0) -> None:
        self._share = low_res_share
        self._windows: dict[bool, deque[tuple[int, float]]] = {
            low_res: deque(maxlen=_WINDOWS) for low_res in (False, True)
        }
        self._first, self.announced = True, False

    def add(self, steps: int, seconds: float, *, low_res: bool) -> None:
        """So many steps took so long."""
        windows = self._windows[low_res]
        if self.is_known and self._first:
            # The first window makes kernels and takes memory, so it is not like the others.
            windows.clear()
            self._first = False
        windows.append((steps, seconds))

    @property
    def is_known(self) -> bool:
        """Whether anything was measured."""
        return any(self._windows.values())

    @property
    def is_warm(self) -> bool:
        """Whether more was measured than the first steps."""
        return not self._first

    def step(self, *, low_res: bool) -> float:
        """Seconds that a step takes at that resolution; 0 where nothing was measured."""
        for windows, factor in (
            (self._windows[low_res], 1.0),
            (self._windows[not low_res], 1 / FULL_STEP if low_res else FULL_STEP),
        ):
            if windows:
                return factor * sum(s for _, s in windows) / sum(n for n, _ in windows)
        return 0.0

    def seconds(self, step: int, total: int) -> float:
        """What the steps from ``step`` to ``total`` take."""
        low_res = max(min(round(self._share * total), total) - step, 0)
        full = total - step - low_res
        return low_res * self.step(low_res=True) + full * self.step(low_res=False)

    def steps_in(self, seconds: float, total: float) -> float:
        """How many steps the last ``seconds`` of ``total`` seconds of training are enough for."""
        low_res = max(self._share * total - (total - seconds), 0.0)
        parts = ((low_res, True), (seconds - low_res, False))
        return sum(part / max(self.step(low_res=half), 1e-9) for part, half in parts)


@dataclass(frozen=True)
class Outlook:
    """What a training has before it, for a sentence about how long it takes.

    Attributes:
        epochs: in all; None where there is a budget.
        batches: steps per epoch.
        width: of the network.
        steps_left: how many steps are left, for a budget as many as there will be time for.
        step_seconds: what each takes, on average.
        endings_left: how many validations are left, the last one included.
        ending: seconds that each takes.
        validates: whether there is anything to validate on.
        narrower: whether the width can still be chosen.
        shorter: whether a budget can still be chosen.
    """

    epochs: int | None
    batches: int
    width: int
    steps_left: float
    step_seconds: float
    endings_left: int
    ending: float
    validates: bool
    narrower: bool
    shorter: bool

    @property
    def seconds(self) -> float:
        """What all of it takes."""
        return self.steps_left * self.step_seconds + self.endings_left * self.ending

    def sentence(self) -> str:
        """How long it takes here, and, where that is long, what would take less."""
        step, end = duration(self.step_seconds), duration(self.ending)
        if self.epochs is None:
            steps = counted(max(round(self.steps_left), 1), "step")
            kept = "the validation at the end" if self.validates else "the end"
            return (
                f"the budget is enough for about {steps} more on this machine ({step} a step at "
                f"width {self.width}) and {end} for {kept}"
            )
        parts = [
            f"{counted(self.epochs, 'epoch')} of {counted(self.batches, 'step')} at width "
            f"{self.width}",
            f"{step} a step",
            *([f"{end} a validation"] if self.validates else []),
        ]
        text = f"about {duration(self.seconds)} on this machine ({', '.join(parts)})"
        if self.seconds <= LONG or not self.shorter:
            return text
        narrow = f"--width {_NARROW} " if self.narrower and self.width > _NARROW else ""
        return f"{text}; {narrow}--budget {_BRIEF} would take 30 minutes"


def too_short(budget: float, needed: float) -> str:
    """What to say of a budget that has no time for a second step and would have to be longer."""
    return (
        f"a budget of {duration(budget)} is too short here: two steps and the validation at the "
        f"end take about {duration(needed)}. The training ends after its first step; give a longer "
        f"--budget, a smaller --width or fewer cases to validate on (--validation-cases)"
    )


def validations_left(epoch: int, epochs: int, every: int) -> int:
    """How many of the epochs after ``epoch`` are validated: each of a number, and the last."""
    later: Sequence[int] = range(epoch + 1, epochs + 1)
    return sum(number % every == 0 or number == epochs for number in later)
