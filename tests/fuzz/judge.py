"""What became of one bad input, and whether that is as it should be."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from mriseg.errors import MrisegError
from tests.fuzz.box import Box

SECONDS = 10.0
"""Seconds of computing from which on an input hangs: good ones of this size take milliseconds."""

WAITED = 60.0
"""Seconds by the clock: who waits for a pipe computes nothing, and who shares a machine waits."""

MEMORY = 512 * 2**20
"""Bytes by which the process may grow over an input; none of them claims more than 64 MiB that
mriseg may take."""

LONGEST = 5000
"""Characters of a message; what is longer was copied from the input, and tells nobody anything."""

GOOD = ("accepted", "refused")


@dataclass(frozen=True)
class Verdict:
    """How an input ended.

    Attributes:
        outcome: "accepted", "refused" (a MrisegError), or a defect: "traceback", "hang",
            "memory", "outside" (a file elsewhere was made or changed), "message".
        detail: the message, or where it went wrong.
        grown: bytes by which the process grew at most.
        seconds: of computing.
    """

    outcome: str
    detail: str = ""
    grown: int = 0
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether this is as it should be."""
        return self.outcome in GOOD


class Hang(BaseException):
    """Time is up. Not an Exception, which might be caught on the way."""


def judged(run: Callable[[], None], box: Box) -> Verdict:
    """Run an input in this process, and say how it ended."""
    before = box.state()
    resident = _begin_measuring()
    began = time.process_time()
    try:
        with _alarms():
            outcome, detail = _ended(run)
    except Hang as hang:
        outcome, detail = "hang", str(hang)
    took, grown = time.process_time() - began, _peak() - resident
    if outcome in GOOD:
        changed = {*before.items()} ^ {*box.state().items()}
        if changed:
            outcome, detail = "outside", ", ".join(sorted(repr(path) for path, _ in changed)[:4])
        elif grown > MEMORY:
            outcome, detail = "memory", f"{grown / 2**20:.0f} MiB"
    return Verdict(outcome, detail, grown, took)


def _ended(run: Callable[[], None]) -> tuple[str, str]:
    try:
        run()
    except MrisegError as error:
        text = str(error)
        if not text.strip() or not 1 <= error.exit_code <= 9:
            return "message", f"{type(error).__name__} {text!r}"
        if len(text) > LONGEST:
            return "message", f"{len(text)} characters: {text[:300]}"
        return "refused", text
    except MemoryError as error:
        return "memory", _where(error)
    except Hang:
        raise
    except BaseException as error:
        return "traceback", _where(error)
    return "accepted", ""


def _where(error: BaseException) -> str:
    """The error, and the last line of mriseg that it passed."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/mriseg/" in frame.filename] or frames
    place = f"{Path(ours[-1].filename).name}:{ours[-1].name}" if ours else "?"
    return f"{type(error).__name__} in {place}: {str(error)[:300]}"


@contextmanager
def _alarms() -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise Hang("".join(traceback.format_stack(frame)[-2:]))

    timers = (
        (signal.ITIMER_PROF, signal.SIGPROF, SECONDS),
        (signal.ITIMER_REAL, signal.SIGALRM, WAITED),
    )
    before = [signal.signal(number, ring) for _, number, _ in timers]
    for timer, _, seconds in timers:
        signal.setitimer(timer, seconds)
    try:
        yield
    finally:
        for (timer, number, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def _begin_measuring() -> int:
    """Forget the peak so far, where the system allows it (Linux); resident bytes now."""
    try:
        _CLEAR.write_text("5")
    except OSError:
        return _peak()
    return _peak()


def _peak() -> int:
    """The most bytes that were resident; 0 where the system does not tell."""
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)
