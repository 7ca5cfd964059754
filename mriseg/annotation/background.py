"""A recipe that runs while the page is used: how far it is, and a way to stop it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Literal

from mriseg.errors import MrisegError, first_line
from mriseg.events import Advanced, Began, Event, Recipe

State = Literal["none", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Progress:
    """How far some work is.

    Attributes:
        state: of the work.
        stage: what is being done.
        done: units of the stage.
        total: likewise; 0: unknown.
        seconds_left: of the stage, where something is known of it.
        message: why it failed; empty: it did not.
    """

    state: State = "none"
    stage: str = ""
    done: float = 0.0
    total: int = 0
    seconds_left: float | None = None
    message: str = ""


class Background:
    """One recipe at a time, in a thread of its own.

    Args:
        on_event: is handed each event, in that thread.
    """

    def __init__(self, on_event: Callable[[Event], None] = lambda _: None) -> None:
        self._on_event = on_event
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._progress = Progress()
        self._began = 0.0
        self.result: Any = None

    @property
    def progress(self) -> Progress:
        """How far it is now."""
        return self._progress

    def start(self, make: Callable[[], Recipe[Any]]) -> bool:
        """Run a recipe; False: another one runs, and nothing was done."""
        with self._lock:
            if self._progress.state == "running":
                return False
            self._stop.clear()
            self.result, self._progress = None, Progress("running")
            # A daemon: what it writes is written whole or not at all, so that it may end any time.
            self._thread = threading.Thread(target=self._run, args=(make,), daemon=True)
            self._thread.start()
            return True

    def cancel(self) -> None:
        """Ask it to stop, which it does between two events."""
        self._stop.set()

    def join(self, seconds: float) -> None:
        """Wait for its end, no longer than this."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self, make: Callable[[], Recipe[Any]]) -> None:
        try:
            with closing(make()) as recipe:
                while not self._stop.is_set():
                    try:
                        event = next(recipe)
                    except StopIteration as end:
                        self.result = end.value
                        self._progress = replace(self._progress, state="done", seconds_left=None)
                        return
                    self._note(event)
                    self._on_event(event)
            self._progress = replace(self._progress, state="cancelled", seconds_left=None)
        except MrisegError as error:
            self._progress = Progress("failed", message=str(error))
        except Exception as error:  # a mistake of mriseg's: the page goes on, and says it
            self._progress = Progress("failed", message=first_line(error))

    def _note(self, event: Event) -> None:
        if isinstance(event, Began):
            self._began = time.monotonic()
            self._progress = Progress("running", event.stage, event.done, event.total)
        elif isinstance(event, Advanced):
            now = self._progress
            left = event.left
            if left is None and 0 < event.done <= now.total:
                seconds = time.monotonic() - self._began
                left = seconds / event.done * (now.total - event.done)
            self._progress = Progress("running", event.stage, event.done, now.total, left)
