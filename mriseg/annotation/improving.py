"""Learning from the corrections while the page is used, and what the page says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mriseg.annotation.background import Background
from mriseg.annotation.refusals import RefusedError
from mriseg.core.improvement import NEEDED
from mriseg.core.wording import counted
from mriseg.events import Recipe

Improve = Callable[[], Recipe[Any]]
"""Makes the recipe that learns from a session's corrections; its report has ``old``, ``new``,
``verdict``, ``better`` and ``page``."""


class Improving:
    """Learning from corrections in the background.

    Args:
        make: makes the recipe; None: this installation has none.
        corrected: how many patients have a correction now.
        needed: how many it takes.
    """

    def __init__(
        self, make: Improve | None, corrected: Callable[[], int], needed: int = NEEDED
    ) -> None:
        self._make, self._corrected, self._needed = make, corrected, needed
        self.work = Background()

    def state(self) -> dict[str, Any]:
        """How far it is, and what came of it."""
        now, report = self.work.progress, self.work.result
        done = now.state == "done"
        return {
            "state": now.state,
            "stage": now.stage,
            "done": now.done,
            "total": now.total,
            "seconds_left": now.seconds_left,
            "message": now.message or ("" if self._make else _ABSENT),
            "corrected": self._corrected(),
            "needed": self._needed,
            "verdict": str(getattr(report, "verdict", "")) if done else "",
            "better": bool(getattr(report, "better", False)) if done else False,
            "old": _text(report, "old"),
            "new": _text(report, "new"),
            "page": "api/improve/page" if self.page() is not None else None,
        }

    def start(self) -> dict[str, Any]:
        """Begin to learn.

        Raises:
            RefusedError: it runs, there are too few corrections, or nothing can learn here.
        """
        if self._make is None:
            raise RefusedError(409, _ABSENT)
        count = self._corrected()
        if count < self._needed:
            raise RefusedError(
                409,
                f"{counted(count, 'patient')} corrected, and it takes {self._needed} to learn from",
            )
        if not self.work.start(self._make):
            raise RefusedError(409, "mriseg learns from the corrections already")
        return self.state()

    def cancel(self) -> dict[str, Any]:
        """Ask it to stop."""
        self.work.cancel()
        return self.state()

    def page(self) -> Path | None:
        """The report of what was learned, if there is one."""
        page = getattr(self.work.result, "page", None)
        return page if isinstance(page, Path) else None


_ABSENT = "this version of mriseg cannot learn from corrections yet; they are kept"


def _text(report: Any, name: str) -> str:
    value = getattr(report, name, None)
    return "" if value is None else str(value)
