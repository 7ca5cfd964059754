"""How much memory a piece of work takes at its peak, on each kind of device."""

from __future__ import annotations

import torch

from mriseg.backends.base import Backend
from mriseg.backends.machine import peak_memory, restart_peak_memory


class PeakMemory:
    """Counts from the moment that it is made.

    Attributes:
        how: what is counted, for people.
    """

    def __init__(self, backend: Backend) -> None:
        self._device = backend.device
        self._before: int | None
        if self._device.type == "cuda":
            self.how = "the most that tensors held on the GPU"
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = torch.cuda.memory_allocated(self._device)
        elif self._device.type == "mps":
            # There is no peak to ask for; but what Metal gave is kept until the cache is emptied.
            self.how = "what Metal's driver gave"
            torch.mps.empty_cache()
            self._before = torch.mps.driver_allocated_memory()
        else:
            self.how = "growth of the process"
            self._before = restart_peak_memory()
            if self._before is None:
                # What stays below an earlier peak is then hidden by it.
                self._before = peak_memory()

    def taken(self) -> int | None:
        """Bytes at the peak, beyond those held at the beginning; None where nobody counts."""
        if self._before is None:
            return None
        if self._device.type == "cuda":
            now: int | None = torch.cuda.max_memory_allocated(self._device)
        elif self._device.type == "mps":
            now = torch.mps.driver_allocated_memory()
        else:
            now = peak_memory()
        return None if now is None else max(0, now - self._before)
