"""Whether ``torch.compile`` pays for itself in a training, found out in that training.

Compiling takes about a minute and gives between nothing and a third, by device, width and release
of PyTorch. So a training begins without; if much of it is left once its speed is known, it tries,
and keeps what was faster. What it tried is told either way.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

import torch
from torch import nn

from mriseg.backends.base import Backend
from mriseg.errors import reason_of
from mriseg.events import Notice

# A trial costs a minute or so; in a training that goes on for this long, in seconds, that is 3 %.
WORTH_TRYING = 1800.0
# Compiled steps must be this much faster to stay: what they gain must exceed what timing misses.
WORTH_KEEPING = 1.03
# Windows of steps that are timed in each way, after one that is not: it warms up, or compiles.
_WINDOWS = 3


class Compiling:
    """Gives a training its network: as it is, compiled, or first the one and then the other.

    Attributes:
        network: what to call for logits; its parameters are those of the model.
    """

    def __init__(
        self,
        model: nn.Module,
        backend: Backend,
        *,
        worth_trying: float = WORTH_TRYING,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.network: nn.Module = model
        self._model = model
        self._worth_trying = worth_trying
        self._clock = clock
        self._seconds: dict[str, list[float]] = {"eager": [], "compiled": []}
        self._state = {"auto": "eager", "always": "compiled", "never": "settled"}[backend.compile]
        self._began: float | None = None
        if self._state == "compiled":
            self.network = _compiled(model)
            self._state = "settled"

    def begin(self) -> None:
        """A window of steps begins; the device has nothing left to do."""
        self._began = self._clock()

    def end(self, steps: int, left: float) -> Notice | None:
        """A window ended, and the device with it.

        Args:
            steps: how many the window had.
            left: seconds of training that are left, at the speed so far.

        Returns:
            What was decided, when something was.
        """
        if self._state == "settled" or self._began is None or not steps:
            return None
        times = self._seconds[self._state]
        times.append((self._clock() - self._began) / steps)
        if len(times) <= _WINDOWS:
            return None
        if self._state == "eager":
            if left < self._worth_trying:
                return None  # a budget may be long and its end far; ask again
            self._state, self.network = "compiled", _compiled(self._model)
            return Notice("trying torch.compile, since much of the training is left")
        return self._settle()

    def changed(self) -> None:
        """What the network trains has changed: what was compiled is of no more use.

        PyTorch would compile again by itself, but keeps so few versions of a network that after
        eight it would give up compiling without a word.
        """
        if self.network is not self._model:
            torch.compiler.reset()

    def failed(self, error: Exception) -> Notice | None:
        """A step raised ``error``; if compiling is to blame, go on without and tell."""
        if self._state != "compiled":
            return None
        self._state, self.network = "settled", self._model
        return Notice(
            f"torch.compile does not work here ({type(error).__name__}: {reason_of(error)})"
        )

    def _settle(self) -> Notice:
        # The best window of each: the first one compiled, and others met with other work.
        eager, compiled = (min(self._seconds[way][1:]) for way in ("eager", "compiled"))
        ratio = eager / compiled
        self._state = "settled"
        if ratio >= WORTH_KEEPING:
            return Notice(f"compiled steps are {ratio:.2f} times as fast: compiled from here on")
        self.network = self._model
        return Notice(f"compiled steps are {ratio:.2f} times as fast: not compiled")


def _compiled(model: nn.Module) -> nn.Module:
    # A module in, a module out; the types say a function.
    return cast("nn.Module", torch.compile(model))
