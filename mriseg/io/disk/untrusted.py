"""Files that anyone may have made: opened without waiting, read no further than they may reach.

A pipe or a device never ends; JSON may be nested deeper than Python's stack, and hold texts that
no file can hold. All of that ends in an OSError or a ValueError here, as other damage does.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO, cast

MAX_TEXT = 2**26
"""Bytes of a text; a run of ten thousand cases is described in a third of it."""

_SURROGATE = ("\\ud", "\\uD")


def open_regular(path: Path) -> BinaryIO:
    """Open a file to read it; a link is followed.

    Raises:
        OSError: it does not exist, or it is a folder, a pipe or a device.
    """
    # Path.open takes no opener.
    return cast(BinaryIO, open(path, "rb", opener=_opener))


def is_regular(path: Path) -> bool:
    """Whether a path is a file that can be read to its end; a link is followed."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def read_text(path: Path, most: int = MAX_TEXT) -> str:
    """A UTF-8 file of at most ``most`` bytes, with or without a byte order mark.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger, or of another encoding.
    """
    with open_regular(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it is larger than {most} bytes")
    return data.decode("utf-8-sig")


def parse_json(text: str | bytes) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: it is not JSON, too deep, or holds half of a character.
    """
    try:
        value = json.loads(text)
        # "\ud800" alone is JSON, and can be written nowhere.
        if any(
            escape in (text if isinstance(text, str) else text.decode()) for escape in _SURROGATE
        ):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _opener(name: str, flags: int) -> int:
    # Without waiting: to open a pipe that no process writes to would take for ever.
    descriptor = os.open(name, flags | getattr(os, "O_NONBLOCK", 0))
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is not a file but a folder, a pipe or a device", name)
