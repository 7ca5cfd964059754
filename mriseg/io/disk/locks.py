"""One process at a time writes into a store or a run folder; reading takes no lock.

The lock is the operating system's, on a hidden file in the folder. It ends with the process that
holds it, however that ends, so none is ever left over.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from mriseg.errors import BusyError
from mriseg.io.disk.space import check_outside_stores
from mriseg.io.disk.untrusted import parse_json, read_text
from mriseg.io.location import local_path

LOCK = ".mriseg.lock"
# Beside the lock, since on some systems no other process can read a file that is locked.
HOLDER = ".mriseg.lock.json"
# Seconds to wait for another process's moment.
_PATIENCE = 60.0


@contextmanager
def locked(folder: Path, doing: str) -> Iterator[None]:
    """Keep ``folder``, which is made if it does not exist, for this process until the block ends.

    Where no lock can be had (a folder that is read-only or no folder, a network file system
    without locks) the block runs without: the first write raises what is wrong there, if anything.

    Args:
        folder: what is written into.
        doing: in a word, for the message to a process that has to wait.

    Raises:
        ConfigError: it is a URL.
        BusyError: another process keeps it, or this one does already.
        OutputError: it lies in a store.
    """
    folder = local_path(folder)
    check_outside_stores(folder.absolute().parent)  # it may be a store itself
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = hold(folder / LOCK)
    except OSError:
        yield
        return
    if lock is None:
        raise BusyError(
            f"{folder} is in use by another process{_holder(folder)}; wait until it has ended, "
            f"stop it, or choose another folder"
        )
    try:
        _write_holder(folder, doing)
        yield
    finally:
        # Removed while they are held: a process that opened the lock meanwhile sees it is gone.
        for name in (HOLDER, LOCK):
            with suppress(OSError):
                (folder / name).unlink()
        lock.release()
        if new:
            with suppress(OSError):  # it is not empty, so it is wanted
                folder.rmdir()


@contextmanager
def waiting(path: Path) -> Iterator[None]:
    """Hold the lock file at ``path`` for a moment's work, after waiting for other processes.

    Where no lock can be had (a file system without locks) the block runs without.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=_PATIENCE)
    except Timeout:
        raise BusyError(f"{path} is held by another process; wait until it has ended") from None
    except OSError:
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # while it is held: who opened it meanwhile sees that it is gone
            path.unlink()
        lock.release()


def hold(path: Path) -> BaseFileLock | None:
    """The lock file at ``path``, held until it is released; None: another process holds it.

    Raises:
        OSError: the folder or its file system takes no lock.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def _write_holder(folder: Path, doing: str) -> None:
    holder = {
        "doing": doing,
        "process": os.getpid(),
        "host": platform.node(),
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),
    }
    with suppress(OSError):
        (folder / HOLDER).write_text(json.dumps(holder), encoding="utf-8")


def _holder(folder: Path) -> str:
    """The process that keeps it, in brackets; empty where that is not known."""
    try:
        holder = parse_json(read_text(folder / HOLDER, 4096))
        return (
            f" ({holder['doing']}, process {holder['process']} on {holder['host']}, "
            f"since {holder['since']})"
        )
    except (OSError, ValueError, TypeError, KeyError):
        return ""
