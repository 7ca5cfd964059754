"""How much memory a piece of work takes at its peak, on each kind of device."""

from __future__ import annotations

from mriseg.backends.base import Backend


class PeakMemory:
    """Counts from the moment that it is made.

    Attributes:
        how: what is counted, for people.
    """

    def __init__(self, backend: Backend) -> None:
        self._verbs = backend.verbs
        self.how = self._verbs.counted
        self._before = self._verbs.restart_peak()

    def taken(self) -> int | None:
        """Bytes at the peak, beyond those held at the beginning; None where nobody counts."""
        if self._before is None:
            return None
        peak = self._verbs.peak_memory()
        return None if peak is None else max(0, peak - self._before)
