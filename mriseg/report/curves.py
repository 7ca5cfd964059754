"""The learning curves in a run's folder, drawn while it trains."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mriseg.io.runs import Run
from mriseg.report import charts

# A drawing takes about half a second.
_SECONDS_BETWEEN = 60.0


class Curves:
    """Keeps a run's ``curves.png`` up to date, at most once a minute, and harms no training.

    The first minute begins here: a training of seconds draws them at its end alone.

    Args:
        run: whose curves.
        clock: tells the seconds.
        also: writes what goes with them, such as the run's page.
    """

    def __init__(
        self,
        run: Run,
        clock: Callable[[], float] = time.monotonic,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        self._run, self._also = run, also
        self._clock = clock
        self._drawn = clock()
        self._reported = False

    def draw(self, rows: Sequence[Mapping[str, Any]], *, last: bool) -> str | None:
        """Draw them after a validation, if it is time to, and at the training's end in any case.

        Args:
            rows: the run's log.
            last: whether the training ends here.

        Returns:
            What went wrong, the first time that something does.
        """
        now = self._clock()
        if not last and ("dice" not in rows[-1] or now - self._drawn < _SECONDS_BETWEEN):
            return None
        self._drawn = now
        try:
            path = self._run.within(self._run.curves_path.name)
            charts.learning_curves(path, rows, self._run.name)
            self._also()
        # Whatever it is: hours of training are worth more than a picture of them.
        except Exception as error:
            reported, self._reported = self._reported, True
            return None if reported else f"the learning curves cannot be drawn: {error}"
        return None
