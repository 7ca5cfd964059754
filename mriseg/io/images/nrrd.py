"""NRRD: ``.nrrd``, or ``.nhdr`` with its voxels in a file beside it. 3D Slicer writes it.

Its world is what the header says: RAS+, LAS+ or LPS+; a space without names counts as LPS+, as in
ITK. Format: https://teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mriseg.errors import InputError
from mriseg.io.gunzip import Packing, hint
from mriseg.io.images import fields
from mriseg.io.voxels import ImageHeader, grid, volume_shape

SUFFIXES = (".nrrd", ".nhdr")

_NAMES = {
    "i1": "signed char|int8|int8_t",
    "u1": "uchar|unsigned char|uint8|uint8_t",
    "i2": "short|short int|signed short|signed short int|int16|int16_t",
    "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
    "i4": "int|signed int|int32|int32_t",
    "u4": "uint|unsigned int|uint32|uint32_t",
    "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
    "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
    "f4": "float",
    "f8": "double",
}
_TYPES = {name: code for code, names in _NAMES.items() for name in names.split("|")}
_ENCODINGS: Mapping[str, Packing] = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}
_LPS = (-1, -1, 1)
_SPACES = {
    "right-anterior-superior": (1, 1, 1),
    "ras": (1, 1, 1),
    "left-anterior-superior": (-1, 1, 1),
    "las": (-1, 1, 1),
    "left-posterior-superior": _LPS,
    "lps": _LPS,
}
# Kinds of axes along which the voxels of one volume, or whole volumes, lie.
_SPATIAL, _VOLUMES = {"domain", "space", "???", "none"}, {"list", "time", "point", "vector"}
_END = re.compile(rb"\n\r?\n")
_VECTOR = re.compile(r"\(([^()]*)\)|none", re.IGNORECASE)


def describe(path: Path) -> ImageHeader:
    """What the header of a NRRD file states; reads no voxel.

    Raises:
        InputError: what is wrong with it, in one sentence that begins with its name.
    """
    name = path.name
    stated, length = _fields(path)
    axes = fields.number(name, stated, "dimension", 0)
    shape = fields.whole(name, "sizes", stated.get("sizes", ""), axes)
    full = volume_shape(name, shape)
    vectors = _vectors(name, stated, axes)
    spatial = _spatial(name, shape, vectors, stated)
    affine = _affine(name, stated, vectors[:spatial])
    geometry = grid(name, full, affine, ndim=spatial)
    packing = _packing(name, stated)
    dtype = _dtype(name, stated)
    data = fields.sibling(path, stated["datafile"]) if "datafile" in stated else path
    skipped = _skipped(name, stated, packing)
    header = ImageHeader(path, data, full, dtype, geometry, packing)
    start = length if data == path else 0
    if packing == "raw" and skipped:
        start = start + skipped if skipped > 0 else fields.start_in(path, data, -1, header.size)
        skipped = 0
    return ImageHeader(path, data, full, dtype, geometry, packing, start, offset=skipped)


def _fields(path: Path) -> tuple[Mapping[str, str], int]:
    """The header's fields, by names in small letters without spaces, and its length in bytes."""
    text, length = fields.head(path, _END)
    magic, *lines = text.splitlines() or [""]
    if not re.fullmatch(r"NRRD000[1-6]", magic.strip()):
        raise InputError(f"{path.name} is not a NRRD file{hint(text.encode()[:64])}")
    stated: dict[str, str] = {}
    for line in lines:
        key, sign, value = line.partition(":")
        # "key:=value" is a remark of some program.
        if sign and not value.startswith("=") and not line.startswith("#"):
            stated["".join(key.lower().split())] = value.strip()
    return stated, length


def _dtype(name: str, stated: Mapping[str, str]) -> np.dtype[np.generic]:
    kind = " ".join(stated.get("type", "").lower().split())
    if kind not in _TYPES:
        raise InputError(
            f"{name} holds voxels of type {fields.shown(kind)}; expected integers or real numbers"
        )
    dtype = np.dtype(_TYPES[kind])
    order = {"little": "<", "big": ">"}.get(stated.get("endian", "").lower())
    if order is None and dtype.itemsize > 1:
        raise InputError(f"{name} does not say in which order its bytes are (endian: little)")
    return dtype.newbyteorder("<" if order is None else order)  # type: ignore[arg-type]


def _packing(name: str, stated: Mapping[str, str]) -> Packing:
    encoding = stated.get("encoding", "").lower()
    if encoding not in _ENCODINGS:
        raise InputError(
            f"{name} is encoded as {fields.shown(encoding)}; only raw and gzip are read: write it "
            f"again, as with 3D Slicer or SimpleITK"
        )
    return _ENCODINGS[encoding]


def _skipped(name: str, stated: Mapping[str, str], packing: Packing) -> int:
    """Bytes before the voxels; -1: so many that the voxels end the file."""
    skipped = fields.number(name, stated, "byteskip", 0)
    if skipped < -1 or (skipped == -1 and packing != "raw") or skipped > 2**26:
        raise InputError(f"{name} states a byte skip of {skipped}, which cannot be")
    if fields.number(name, stated, "lineskip", 0):
        raise InputError(f"{name} skips lines before its voxels; write it again without them")
    return skipped


def _vectors(name: str, stated: Mapping[str, str], axes: int) -> list[list[float] | None]:
    """For each axis the step of one voxel in the header's world; None where it is not spatial."""
    if "spacedirections" in stated:
        text = stated["spacedirections"]
        matches = _VECTOR.finditer(text)
        vectors = [_vector(name, match[1]) if match[1] else None for match in matches]
        if len(vectors) != axes:
            raise InputError(f"{name} states space directions {fields.shown(text)} for {axes} axes")
        return vectors
    words = stated.get("spacings", "nan " * axes).lower().split()
    kinds = [*stated.get("kinds", "").lower().split(), *["domain"] * axes]
    steps: list[list[float] | None] = []
    for axis, (word, kind) in enumerate(zip(words, kinds, strict=False)):
        size = 1.0 if word == "nan" else fields.numbers(name, "spacings", word, 1)[0]
        step = [0.0, 0.0, 0.0]
        step[min(axis, 2)] = size
        steps.append(step if kind in _SPATIAL and axis < 3 else None)
    if len(steps) != axes:
        raise InputError(f"{name} states {len(words)} spacings for {axes} axes")
    return steps


def _vector(name: str, text: str) -> list[float] | None:
    """The step in space from ``1,0,0``; None if there is none, as along time, the fourth axis."""
    if "nan" in text.lower():
        return None
    values = fields.numbers(name, "a vector in space", text.replace(",", " "))
    if len(values) == 4 and not any(values[:3]):
        return None
    if len(values) == 4 and values[3] == 0:
        values.pop()
    if not 2 <= len(values) <= 3:
        raise InputError(f"{name} lies in a space of {len(values)} dimensions; expected 2 or 3")
    return values


def _spatial(
    name: str,
    shape: Sequence[int],
    vectors: Sequence[Sequence[float] | None],
    stated: Mapping[str, str],
) -> int:
    """How many axes are spatial, 2 or 3: the first ones; volumes may follow along a fourth."""
    spatial = sum(vector is not None for vector in vectors)
    others = [axis for axis, vector in enumerate(vectors) if vector is None]
    if others and (others[0] < 3 or spatial != 3):
        kinds = stated.get("kinds", "").split()
        kind = kinds[others[0]] if others[0] < len(kinds) else "no direction"
        fields.refuse_values(name, max(2, shape[others[0]]), kind)
    if spatial > 3:
        raise InputError(f"{name} has {spatial} axes in space; expected 2 or 3")
    return spatial


def _affine(
    name: str, stated: Mapping[str, str], vectors: Sequence[Sequence[float] | None]
) -> NDArray[np.float64]:
    """From voxel indices to RAS+ in mm."""
    columns, origin = np.zeros((3, 3)), np.zeros(3)
    for axis, vector in enumerate(vectors):
        columns[: len(vector or ()), axis] = vector or ()
    if len(vectors) == 2:
        normal = np.cross(columns[:, 0], columns[:, 1])
        length = math.hypot(*normal)
        # A plane without a third direction: its own normal, or the world's third axis.
        flat = not columns[2].any()
        columns[:, 2] = (0, 0, 1) if flat else normal / length if length > 0 else 0
    if "spaceorigin" in stated:
        text = stated["spaceorigin"].strip().strip("()").replace(",", " ")
        corner = fields.numbers(name, "space origin", text)[:3]
        origin[: len(corner)] = corner
    unit = stated.get("spaceunits", "").split('"')[1:2]
    factor = fields.TO_MM.get(unit[0].strip().lower(), 1.0) if unit else 1.0
    space = stated.get("space", "").lower()
    return fields.ras(factor * columns, factor * origin, _SPACES.get(space, _LPS))
