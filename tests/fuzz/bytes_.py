"""Damage to bytes, of whatever format."""

from __future__ import annotations

import gzip
import struct
from random import Random

# Numbers at which sizes, offsets and counts go wrong.
EDGES = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)


def damaged(rng: Random, data: bytes) -> bytes:
    """``data`` with one to four things done to it."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice(_WAYS)(rng, data)
    return data


def _truncated(rng: Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _flipped(rng: Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[_place(rng, len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _numbered(rng: Random, data: bytes) -> bytes:
    """A number at the edge of its type somewhere, mostly near the start, where headers are."""
    if len(data) < 8:
        return data
    kind = rng.choice(["<B", ">B", "<H", ">H", "<I", ">I", "<Q", ">Q"])
    size = struct.calcsize(kind)
    value = rng.choice(EDGES) & (2 ** (8 * size) - 1)
    place = _place(rng, len(data) - size + 1)
    return data[:place] + struct.pack(kind, value) + data[place + size :]


def _prolonged(rng: Random, data: bytes) -> bytes:
    return data + rng.choice((b"\0" * 4096, rng.randbytes(100), data, b"\n"))


def _inserted(rng: Random, data: bytes) -> bytes:
    place = _place(rng, len(data) + 1)
    return data[:place] + rng.randbytes(rng.choice((1, 2, 4, 33))) + data[place:]


def _cut_out(rng: Random, data: bytes) -> bytes:
    place = _place(rng, len(data) + 1)
    return data[:place] + data[place + rng.choice((1, 2, 4, 64, 1000)) :]


def _blanked(rng: Random, data: bytes) -> bytes:
    place = _place(rng, len(data) + 1)
    count = min(rng.choice((1, 16, 512)), len(data) - place)
    return data[:place] + rng.choice((b"\0", b"\xff")) * count + data[place + count :]


def _replaced(rng: Random, data: bytes) -> bytes:
    """Something else altogether."""
    return rng.choice(
        (
            b"",
            b"\0",
            rng.randbytes(512),
            b"<!DOCTYPE html><html><body>404</body></html>",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
            gzip.compress(data, mtime=0),
            data[::-1],
        )
    )


def _place(rng: Random, end: int) -> int:
    return rng.randrange(min(end, 400)) if rng.random() < 0.5 else rng.randrange(end)


_WAYS = (
    _truncated,
    _flipped,
    _flipped,
    _numbered,
    _numbered,
    _prolonged,
    _inserted,
    _cut_out,
    _blanked,
    _replaced,
)
