"""How long something takes, run after run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

# A run is of as many actions as take this long, in seconds: a clock, and waiting for a device,
# have costs of their own, which a training that waits every so many steps does not have at each.
_WINDOW = 0.2


@dataclass(frozen=True)
class Timing:
    """Seconds that something took, over several runs."""

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        """The timing of these runs, at least one."""
        return cls(median(seconds), min(seconds), max(seconds), len(seconds))

    def divided(self, by: int) -> Timing:
        """Of one of ``by`` equal pieces."""
        return Timing(self.median / by, self.low / by, self.high / by, self.runs)


def timed(
    action: Callable[[], object],
    wait: Callable[[], object] = lambda: None,
    *,
    budget: float,
    least: int = 3,
    most: int = 30,
) -> Iterator[float]:
    """Seconds that ``action`` takes, one run after another, once it is warm.

    Args:
        action: what to time.
        wait: for the device to be done.
        budget: seconds after which no further run begins.
        least: runs, whatever they take.
        most: runs.
    """
    _once(action, wait, 1)  # kernels are chosen or compiled, and memory is taken
    began = time.perf_counter()
    first = _once(action, wait, 1)
    count = max(1, math.ceil(_WINDOW / max(first, 1e-9)))
    for run in range(most):
        if run >= least and time.perf_counter() - began > budget:
            return
        # The action that was timed first was a run itself, where a run is of one action.
        yield first if run == 0 and count == 1 else _once(action, wait, count) / count


def _once(action: Callable[[], object], wait: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        action()
    wait()
    return time.perf_counter() - began
