"""Damage to NIfTI files that knows their header (https://nifti.nimh.nih.gov)."""

from __future__ import annotations

import gzip
import struct
import zlib
from random import Random

from tests.fuzz.bytes_ import damaged

# Of NIfTI-1: field -> (offset, what it holds, how many).
_FIELDS = {
    "sizeof_hdr": (0, "i", 1),
    "dim": (40, "h", 8),
    "datatype": (70, "h", 1),
    "bitpix": (72, "h", 1),
    "pixdim": (76, "f", 8),
    "vox_offset": (108, "f", 1),
    "scl": (112, "f", 2),
    "units": (123, "b", 1),
    "codes": (252, "h", 2),
    "quaternion": (256, "f", 6),
    "rows": (280, "f", 12),
    "magic": (344, "4s", 1),
}
_FLOATS = (
    float("nan"),
    float("inf"),
    float("-inf"),
    0.0,
    -0.0,
    -1.0,
    1e-30,
    1e30,
    3e38,
    1e-45,
    0.5,
    2.0,
    352.0,
    1e9,
)
_SHORTS = (-32768, -1, 0, 1, 2, 3, 4, 7, 8, 16, 64, 255, 256, 512, 1024, 1536, 1792, 2048, 32767)
_MAGICS = (b"n+1\0", b"ni1\0", b"n+2\0", b"\0\0\0\0", b"n+1 ", b"\xff\xff\xff\xff")


def damaged_nifti(rng: Random, plain: bytes) -> bytes:
    """An unpacked NIfTI file, its header or its voxels damaged."""
    if len(plain) < 352 or rng.random() < 0.15:
        return damaged(rng, plain)
    data = bytearray(plain)
    for _ in range(rng.choice((1, 1, 2, 3))):
        _change(rng, data)
    if rng.random() < 0.1:
        data[:348] = _swapped(bytes(data[:348]))
    if rng.random() < 0.15:
        return damaged(rng, bytes(data))
    return bytes(data)


def packed(rng: Random, plain: bytes) -> bytes:
    """As a gzip file; in one of five, a damaged one."""
    data = gzip.compress(plain, compresslevel=1, mtime=0)
    if rng.random() < 0.8:
        return data
    return rng.choice(
        (
            damaged(rng, data),
            data[:-8],  # without its checksum
            data[:-8] + b"\0" * 8,
            data + b"garbage",
            data + data,
            gzip.compress(data, mtime=0),
            data[:10] + zlib.compress(plain),
            _bomb(plain.ljust(352, b"\0")),
            b"".join(
                gzip.compress(plain[i : i + 64], mtime=0)
                for i in range(0, min(len(plain), 6400), 64)
            ),
        )
    )


def _bomb(plain: bytes) -> bytes:
    """48 MB of zeros in 50 kB, behind a header that says where its voxels begin: after them."""
    header = bytearray(plain[:352])
    struct.pack_into("<f", header, 108, 48e6)
    return gzip.compress(bytes(header) + bytes(48_000_000), compresslevel=9, mtime=0)


def _change(rng: Random, data: bytearray) -> None:
    offset, kind, count = _FIELDS[rng.choice(list(_FIELDS))]
    size = struct.calcsize(f"<{kind}")
    place = offset + size * rng.randrange(count)
    if kind == "f":
        if rng.random() < 0.2:  # all of the field: a singular or an empty affine
            value = rng.choice(_FLOATS)
            struct.pack_into(f"<{count}f", data, offset, *[value] * count)
        else:
            struct.pack_into("<f", data, place, rng.choice(_FLOATS))
    elif kind == "4s":
        data[offset : offset + 4] = rng.choice(_MAGICS)
    elif kind == "h":
        struct.pack_into("<h", data, place, rng.choice(_SHORTS))
    else:
        struct.pack_into(f"<{kind}", data, place, rng.choice((-1, 0, 1, 2, 100, 127)))


def _swapped(header: bytes) -> bytes:
    """The sizes and the affine in the other byte order, the rest as it is."""
    data = bytearray(header)
    for offset, kind, count in _FIELDS.values():
        if kind in "ihf":
            form = f"{count}{kind}"
            values = struct.unpack_from(f"<{form}", header, offset)
            struct.pack_into(f">{form}", data, offset, *values)
    return bytes(data)
