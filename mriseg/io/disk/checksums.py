"""Checksums: of sources, by which they are known again, and of mriseg's own files, inside them.

A file of mriseg's carries its own SHA-256 under ``digest``: that of the file with 64 zeros in the
digest's place. A second file beside it would be of another moment when the process dies between
the two; inside, it is there whenever the file is, and it covers every byte. It shows damage, not
intent: a file that is changed on purpose can be given another digest.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from mriseg.errors import InputError, reason_of
from mriseg.io.disk.atomic import replacing
from mriseg.io.disk.untrusted import parse_json, read_text

BLANK = "0" * 64
"""What stands for a digest that is not known yet."""

# In JSON, and in JSON that is a text within JSON (safetensors' metadata).
_PREFIXES = (b'"digest": "', b'\\"digest\\": \\"')
# A digest is the first thing that a file says or the last; names of cases lie between.
_NEAR = 512
_PIECE = 2**20


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal. Raises InputError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {reason_of(error)}") from error


def digest(file: BinaryIO) -> str:
    """The SHA-256 of what is left of an open file, which is read in pieces."""
    value = hashlib.sha256()
    while piece := file.read(_PIECE):
        value.update(piece)
    return value.hexdigest()


def as_written(file: BinaryIO) -> bool | None:
    """Whether a file is what its own digest says; None where it carries none.

    A digest that is itself damaged, by a byte or less, still counts as one.
    """
    place = _place(file)
    if place is None:
        return None
    file.seek(place)
    return file.read(len(BLANK)) == _digest_around(file, place).encode()


def written_digest(file: BinaryIO) -> str | None:
    """The digest that a file carries, whether it is right or not; None where it carries none."""
    place = _place(file)
    if place is None:
        return None
    file.seek(place)
    return file.read(len(BLANK)).decode("ascii", "replace")


def seal(path: Path) -> None:
    """Put its digest into a file that was written with a blank one.

    Raises:
        ValueError: it has no place for one.
    """
    with path.open("r+b") as file:
        place = _place(file)
        if place is None:
            raise ValueError(f"{path} has no place for a digest")
        value = _digest_around(file, place)
        file.seek(place)
        file.write(value.encode())


def digest_of(document: bytes) -> str:
    """The digest of a document in memory, whatever is in its place now."""
    file = io.BytesIO(document)
    place = _place(file)
    if place is None:
        raise ValueError("the document has no place for a digest")
    return _digest_around(file, place)


def sealed_json(value: Mapping[str, Any]) -> bytes:
    """A JSON object with its digest in front."""
    blank = json.dumps({"digest": BLANK, **value}, indent=1).encode() + b"\n"
    return blank.replace(BLANK.encode(), digest_of(blank).encode(), 1)


def write_sealed_json(path: Path, value: Mapping[str, Any], *, make_folder: bool = True) -> None:
    """``value`` as JSON with its digest, complete or not at all; see `replacing`."""
    with replacing(path, make_folder=make_folder) as temporary:
        temporary.write_bytes(sealed_json(value))


def read_sealed_json(path: Path) -> Any:
    """What a JSON document holds, if it is what its digest says.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON, or not what was written.
    """
    content = read_text(path)
    if not as_written(io.BytesIO(content.encode())):
        raise ValueError("it is not what was written, by its own digest")
    return parse_json(content)


def _place(file: BinaryIO) -> int | None:
    """Where the 64 characters of a file's digest begin."""
    size = file.seek(0, io.SEEK_END)
    # From the outside inwards: a file may hold others that carry digests of their own.
    for start, step in ((0, 1), (max(0, size - _NEAR), -1)):
        file.seek(start)
        offset = _find(file.read(_NEAR), step)
        if offset is not None:
            return start + offset
    return None


def _find(part: bytes, step: int) -> int | None:
    for prefix in _PREFIXES:
        for start in range(len(part) - len(prefix) - len(BLANK))[::step]:
            middle = start + len(prefix)
            wrong = sum(a != b for a, b in zip(prefix, part[start:middle], strict=True))
            digits = part[middle : middle + len(BLANK)]
            if wrong + sum(digit not in b"0123456789abcdef" for digit in digits) <= 1:
                return middle
    return None


def _digest_around(file: BinaryIO, place: int) -> str:
    """The SHA-256 of a file with zeros at ``place``."""
    value = hashlib.sha256()
    file.seek(0)
    left = place
    while left > 0 and (piece := file.read(min(left, _PIECE))):
        value.update(piece)
        left -= len(piece)
    value.update(BLANK.encode())
    file.seek(place + len(BLANK))
    while piece := file.read(_PIECE):
        value.update(piece)
    return value.hexdigest()
