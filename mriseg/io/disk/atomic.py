"""Files that are written completely or not at all."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mriseg.errors import OutputError, reason_of
from mriseg.io.disk import locks
from mriseg.io.location import local_path

# Folders of these names hold what is being written; they end with it.
_PART = ".part-"
_PART_LOCK = "lock"
# Seconds within which a folder may not have its lock yet.
_YOUNG = 1.0


@contextmanager
def replacing(path: Path, *, make_folder: bool = True) -> Iterator[Path]:
    """A temporary path that takes the place of ``path`` when the block ends well.

    It is in a hidden folder beside ``path``, so that whatever a library writes on its way lies
    there. Such folders that a process left when it was killed are removed first.

    Args:
        path: of the file to write or to replace.
        make_folder: make its folder where it does not exist; else that is an error, such as where
            a network folder went away in the middle of the work.

    Raises:
        ConfigError: ``path`` is a URL.
        OutputError: the folder cannot be written, or the disk is full; ``path`` is untouched.
    """
    path = local_path(path)
    try:
        if make_folder:
            path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        with part_folder(path.parent) as part:
            temporary = part / path.name
            yield temporary
            temporary.chmod(0o666 & ~_umask())
            # Renamed only once it is on the disk: after a power cut it is the old file or the new.
            _sync(temporary)
            temporary.replace(path)
        # And what is written after this is not there before it.
        sync_folder(path.parent)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {reason_of(error)}") from error


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """A hidden folder in ``folder``, which is made, for files that are to be moved there together.

    What is still in it when the block ends is removed; what a killed process left there, by the
    next that writes into ``folder``.

    Raises:
        ConfigError: ``folder`` is a URL.
        OutputError: nothing can be written there.
    """
    local_path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        with part_folder(folder) as part:
            try:
                yield part
            except OutputError as error:  # of a file on its way: the user knows its place
                raise OutputError(str(error).replace(str(part), str(folder))) from error
        sync_folder(folder)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {reason_of(error)}") from error


@contextmanager
def part_folder(folder: Path) -> Iterator[Path]:
    """A hidden folder in ``folder`` for what is on its way, locked so that nobody sweeps it.

    Raises:
        OSError: it cannot be made.
    """
    part = Path(tempfile.mkdtemp(prefix=_PART, dir=folder))
    lock = None
    try:
        with suppress(OSError):
            lock = locks.hold(part / _PART_LOCK)
        yield part
    finally:
        if lock is not None:
            lock.release()
        shutil.rmtree(part, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed left of files on their way into ``folder``."""
    for part in folder.glob(f"{_PART}*"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _YOUNG and part.is_dir():
                lock = locks.hold(part / _PART_LOCK)
                if lock is not None:
                    lock.release()
                    shutil.rmtree(part, ignore_errors=True)


def fsync_tree(folder: Path) -> None:
    """Make sure that all files in ``folder`` are on the disk before what is written next.

    Raises:
        OSError: they cannot be written there.
    """
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            _sync(Path(parent, name))
        sync_folder(Path(parent))


def sync_folder(folder: Path) -> None:
    """Make sure that what was moved into ``folder`` is there before what is written next."""
    with suppress(OSError):  # some systems cannot do this for a folder, or need not
        _sync(folder)


def _sync(path: Path) -> None:
    # Windows syncs only what is open for writing, and no folders.
    handle = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    # There is no way to read the mask but to set it.
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A temporary folder; gone when the block ends."""
    # Some systems refuse to remove a file that is still mapped; the system then tidies up.
    with tempfile.TemporaryDirectory(prefix="mriseg-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def is_free(path: Path) -> bool:
    """Whether a folder can be made there: nothing is, or a folder of leftovers alone."""
    return not path.exists() or (path.is_dir() and not any(contents(path)))


def contents(folder: Path) -> Iterator[Path]:
    """What is in ``folder`` but for locks and what was left of files on their way."""
    for path in folder.iterdir():
        if path.name not in (locks.LOCK, locks.HOLDER) and not path.name.startswith(_PART):
            yield path
