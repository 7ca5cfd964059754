"""Headers that are text: where they end, the numbers in them, and the file of voxels they name.

A header may come from a stranger. It must not lead out of its own folder, and no number in it is
taken that is not one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mriseg.errors import InputError, reason_of
from mriseg.io.disk.untrusted import open_regular

# Bytes of a header that are read at once, and at most: segmentations describe hundreds of segments.
_PIECE, _LONGEST = 2**16, 2**22
# Bytes of what ends a header: a line with a file's name.
_LONGEST_END = 2**12
# What a header quotes in a message at most.
_QUOTED = 60

TO_MM = {"mm": 1.0, "cm": 10.0, "m": 1e3, "um": 1e-3, "µm": 1e-3, "micron": 1e-3}
"""Units of length, as headers in text spell them."""


def head(path: Path, end: re.Pattern[bytes]) -> tuple[str, int]:
    """The text at the start of a file, up to and including the first match of a pattern.

    Returns:
        The text, and how many bytes it takes. All of a short file without a match.

    Raises:
        InputError: the file cannot be read, or its header does not end.
    """
    block = bytearray()
    try:
        with open_regular(path) as file:
            while piece := file.read(_PIECE):
                # Each byte is searched once, but for an end that lies across two pieces.
                searched = max(0, len(block) - _LONGEST_END)
                block += piece
                match = end.search(block, searched)
                # One at the end of a piece may go on in the next.
                if match and (match.end() < len(block) or len(piece) < _PIECE):
                    del block[match.end() :]
                    break
                if len(block) >= _LONGEST:
                    raise InputError(f"{path.name} has a header that does not end")
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {reason_of(error)}") from error
    return block.decode("utf-8", "backslashreplace"), len(block)


def shown(text: str) -> str:
    """A header's own words in a message: printable, and not long."""
    words = text if len(text) <= _QUOTED else f"{text[:_QUOTED]}..."
    return repr(words)


def numbers(name: str, field: str, text: str, count: int | None = None) -> list[float]:
    """The finite numbers of a field, separated by spaces.

    Raises:
        InputError: they are not numbers, or not ``count`` of them; the message begins with
            ``name``.
    """
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        values = []
    if not values or not all(map(math.isfinite, values)) or count not in (None, len(values)):
        expected = "numbers" if count is None else f"{count} numbers"
        raise InputError(f"{name} states {field} as {shown(text)}; expected {expected}")
    return values


def whole(name: str, field: str, text: str, count: int | None = None) -> tuple[int, ...]:
    """As `numbers`, where only whole numbers make sense."""
    values = numbers(name, field, text, count)
    # Beyond 2**53 a float is not the number that was written.
    if any(value != int(value) or abs(value) > 2**53 for value in values):
        raise InputError(f"{name} states {field} as {shown(text)}; expected whole numbers")
    return tuple(map(int, values))


def number(name: str, fields: Mapping[str, str], field: str, default: int) -> int:
    """A field that is one whole number, or its default."""
    return whole(name, field, fields[field], 1)[0] if field in fields else default


def sibling(path: Path, stated: str) -> Path:
    """The file of voxels that a header names, in the header's own folder.

    Raises:
        InputError: it lies elsewhere, there are several, or it does not exist.
    """
    plain = stated.strip().removeprefix("./")
    if not plain or plain in (".", "..") or any(sign in plain for sign in "/\\\0:"):
        raise InputError(
            f"{path.name} says that its voxels are in {shown(stated)}; only a file beside it is "
            f"read: put that file there and its plain name into the header"
        )
    if plain.split()[0].upper() == "LIST" or "%" in plain:
        raise InputError(
            f"{path.name} says that its voxels are in several files ({shown(stated)}); convert it "
            f"to one file, as with SimpleITK"
        )
    data = path.with_name(plain)
    try:
        exists = data.is_file()
    except (OSError, ValueError):
        exists = False
    if not exists:
        raise InputError(
            f"{path.name} says that its voxels are in {shown(plain)}, which is not a file beside it"
        )
    return data


def start_in(path: Path, data: Path, skipped: int, size: int) -> int:
    """Where voxels begin in a file of their own; a header may say -1: so that they end it.

    Raises:
        InputError: the file is too small for that.
    """
    if skipped >= 0:
        return skipped
    length = data.stat().st_size
    if size > length:
        raise InputError(
            f"{data.name} is truncated or damaged: {path.name}'s header promises {size} bytes of "
            f"voxels, it holds {length}"
        )
    return length - size


def ras(
    columns: NDArray[np.float64], origin: NDArray[np.float64], signs: tuple[int, int, int]
) -> NDArray[np.float64]:
    """A 4x4 affine that leads to RAS+.

    Args:
        columns: 3x3, for each axis of the array the step of one voxel.
        origin: 3, where the first voxel is.
        signs: for each of the header's world axes, whether it runs to the right, to the front and
            upwards (1) or the other way (-1).
    """
    affine = np.eye(4)
    affine[:3, :3] = columns
    affine[:3, 3] = origin
    affine[:3] *= np.asarray(signs, dtype=np.float64)[:, None]
    return affine + 0.0  # No negative zeros.


def refuse_values(name: str, count: int, what: str) -> None:
    """Refuse an image with several values per voxel."""
    if count != 1:
        raise InputError(
            f"{name} holds {count} values per voxel ({what}); expected one: an integer or a real "
            f"number"
        )
