"""Small items that show whether workers do what a pool promises: for `mriseg.testing`.

They are not there, since workers that import that module load PyTorch and pytest with it.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from mriseg.errors import CaseError

_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


def doubled(number: int) -> int:
    """What most of the suite has workers do."""
    return 2 * number


def refused(number: int) -> int:
    """A case that cannot be used."""
    raise CaseError(f"number {number}", "it is not even")


def where(_: object) -> int:
    """The process that does it."""
    return os.getpid()


def kills_its_worker_once(marker: str) -> str:
    """As the kernel ends a process for which there is no memory."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), _KILL)
    return marker


def kills_its_worker(name: str) -> str:
    """However often it is tried."""
    if name == "big":
        os.kill(os.getpid(), _KILL)
    return name


def leaves_a_file(path: str) -> str:
    """Something that takes a moment and can be seen."""
    time.sleep(0.2)
    Path(path).touch()
    return path
