"""Whether something can be written, and there is room for it; asked before the work."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mriseg.errors import OutputError, reason_of
from mriseg.io.location import local_path


def check_outside_stores(folder: Path) -> None:
    """Refuse to write into a store, whose folder is its own: removing it would remove both.

    Raises:
        ConfigError: ``folder`` is a URL.
        OutputError: ``folder``, or one above it, is a store.
    """
    absolute = local_path(folder).absolute()
    for path in (absolute, *absolute.parents):
        if (path / "zarr.json").exists():
            raise OutputError(
                f"{folder} lies in the store {path}; name a folder outside of the store"
            )


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made or written or is in a store, leaving nothing behind.

    Raises:
        ConfigError: ``folder`` is a URL.
        OutputError: nothing can be written there.
    """
    folder = local_path(folder)
    check_outside_stores(folder)
    try:
        with tempfile.TemporaryDirectory(prefix=".part-", dir=_nearest(folder)):
            pass
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {reason_of(error)}") from None


def check_space(folder: Path, size: int) -> None:
    """Refuse a disk that has fewer than this many bytes left.

    Raises:
        OutputError: it has fewer.
    """
    free = shutil.disk_usage(_nearest(folder)).free
    if free < size:
        raise OutputError(
            f"{folder} would need {size / 1e6:.0f} MB and its disk has {free / 1e6:.0f} MB left; "
            f"make room, or choose another folder with --out"
        )


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest above it that exists."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())
