"""Whether there is room for what will be written, asked before the work and not after it."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mriseg.errors import OutputError


def check_outside_stores(folder: Path) -> None:
    """Refuse to write into a store, whose folder is its own: whoever removes it would lose both.

    Raises:
        OutputError: ``folder``, or one above it, is a store.
    """
    absolute = folder.absolute()
    for path in (absolute, *absolute.parents):
        if (path / "zarr.json").exists():
            raise OutputError(
                f"what would be written in {folder} lies in the store {path}; name a place outside "
                f"of it"
            )


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made or written or is in a store, leaving nothing behind.

    Raises:
        OutputError: nothing can be written there.
    """
    check_outside_stores(folder)
    there = _there(folder)
    try:
        with tempfile.TemporaryDirectory(prefix=".part-", dir=there):
            pass
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {error.strerror or error}") from None


def check_space(folder: Path, size: int) -> None:
    """Refuse a disk that has not this many bytes left.

    Raises:
        OutputError: it has fewer.
    """
    free = shutil.disk_usage(_there(folder)).free
    if free < size:
        raise OutputError(
            f"{folder} would need {size / 1e6:.0f} MB and its disk has {free / 1e6:.0f} MB left; "
            f"make room, or choose another folder with --out"
        )


def _there(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())
