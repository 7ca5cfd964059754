"""Protocol buffers of strangers, read without a library and without trust.

Only what an inspection asks for is read: the rest of a file is skipped by its stated length, which
is compared with what is there. So a file of gigabytes costs no memory, and one that lies costs an
error. Messages are walked as the caller's `Schema` says, no deeper than it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

# What the last three bits of a field's key say.
_VARINT, _EIGHT, _LENGTH, _FOUR = 0, 1, 2, 5
# A varint of 64 bits has at most ten bytes.
_LONGEST = 10


@dataclass(frozen=True)
class Field:
    """A field of a message.

    Attributes:
        number: as the format numbers it.
        value: of a number; 0 for others.
        start: where its content begins in the file.
        end: where its content ends.
    """

    number: int
    value: int
    start: int
    end: int


def fields(file: BinaryIO, start: int, end: int) -> Iterator[Field]:
    """The fields of the message between two places of a file, in their order.

    Raises:
        ValueError: it is no such message, or is cut off.
    """
    place = start
    while place < end:
        key, place = _varint(file, place, end)
        number, kind = key >> 3, key & 7
        value, after = 0, place
        if kind == _VARINT:
            value, after = _varint(file, place, end)
        elif kind == _LENGTH:
            length, place = _varint(file, place, end)
            after = place + length
        elif kind in (_EIGHT, _FOUR):
            after = place + (8 if kind == _EIGHT else 4)
        else:
            raise ValueError(f"byte {place}: there is no field of kind {kind}")
        if number == 0 or after > end:
            raise ValueError(f"byte {place}: field {number} is longer than what is left")
        yield Field(number, value, place, after)
        place = after


def content(file: BinaryIO, field: Field, most: int) -> bytes:
    """What a field holds.

    Raises:
        ValueError: it is longer than ``most`` bytes.
    """
    if field.end - field.start > most:
        raise ValueError(f"byte {field.start}: a field is longer than {most} bytes")
    file.seek(field.start)
    return file.read(field.end - field.start)


def _varint(file: BinaryIO, place: int, end: int) -> tuple[int, int]:
    """The number at ``place``, and where it ends."""
    file.seek(place)
    value = 0
    for index, byte in enumerate(file.read(min(_LONGEST, end - place))):
        value |= (byte & 127) << (7 * index)
        if byte < 128:
            return value, place + index + 1
    raise ValueError(f"byte {place}: a number does not end")
