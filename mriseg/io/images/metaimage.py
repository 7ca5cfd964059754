"""MetaImage: ``.mha``, or ``.mhd`` with its voxels in a ``.raw`` or ``.zraw`` beside it.

ITK's own container; BraTS 2013 and 2015 were published in it. Its world is LPS+. The voxels are
read here and not by ITK, which gives back the voxels of a damaged file without an error.
Format: https://itk.org/Wiki/MetaIO/Documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mriseg.errors import InputError
from mriseg.io.images import fields
from mriseg.io.voxels import ImageHeader, grid, volume_shape

SUFFIXES = (".mha", ".mhd")

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
# What one thing is called by writers of different times.
_ALIASES = {
    "position": "offset",
    "origin": "offset",
    "rotation": "transformmatrix",
    "orientation": "transformmatrix",
    "elementbyteordermsb": "binarydatabyteordermsb",
}
_LAST = "elementdatafile"
# The field that names the file of voxels is the last one; they may follow in the next line.
_END = re.compile(rb"^[ \t]*ElementDataFile[ \t]*[=:][^\n]*\n?", re.MULTILINE)
_FIELD = re.compile(r"\s*(?P<key>\w+)\s*[=:](?P<value>.*)")


def describe(path: Path) -> ImageHeader:
    """What the header of a MetaImage states; reads no voxel.

    Raises:
        InputError: what is wrong with it, in one sentence that begins with its name.
    """
    name = path.name
    stated, length = _fields(path)
    axes = fields.number(name, stated, "ndims", 3)
    shape = fields.whole(name, "DimSize", stated.get("dimsize", ""), axes)
    full = volume_shape(name, shape)
    dtype = _dtype(name, stated)
    geometry = grid(name, full, _affine(name, stated, axes), ndim=2 if axes == 2 else 3)
    local = stated[_LAST].lower() == "local"
    data = path if local else fields.sibling(path, stated[_LAST])
    packed = _is(stated, "compresseddata")
    header = ImageHeader(path, data, full, dtype, geometry, "zlib" if packed else "raw")
    skipped = fields.number(name, stated, "headersize", 0)
    if skipped and (packed or local):
        raise InputError(f"{name} states a HeaderSize of {skipped}, which only raw files have")
    start = length if local else fields.start_in(path, data, skipped, header.size)
    return ImageHeader(path, data, full, dtype, geometry, header.packing, start)


def _fields(path: Path) -> tuple[Mapping[str, str], int]:
    """The header's fields, by names in small letters, and how many bytes it takes."""
    text, length = fields.head(path, _END)
    stated: dict[str, str] = {}
    for match in filter(None, map(_FIELD.match, text.splitlines())):
        key = match["key"].lower()
        stated[_ALIASES.get(key, key)] = match["value"].strip()
    if not stated.get(_LAST):
        raise InputError(
            f"{path.name} is not a MetaImage: expected lines such as 'DimSize = 240 240 155' and "
            f"at last 'ElementDataFile = LOCAL'"
        )
    return stated, length


def _dtype(name: str, stated: Mapping[str, str]) -> np.dtype[np.generic]:
    fields.refuse_values(
        name, fields.number(name, stated, "elementnumberofchannels", 1), "colours or a vector"
    )
    kind = stated.get("elementtype", "")
    if kind not in _TYPES:
        raise InputError(
            f"{name} holds voxels of type {fields.shown(kind)}; expected one of {', '.join(_TYPES)}"
        )
    if "binarydata" in stated and not _is(stated, "binarydata"):
        raise InputError(f"{name} holds its voxels as text; write it again as binary data")
    for field, neutral in (("slope", 1), ("offset", 0)):
        scale = f"elementtointensityfunction{field}"
        if scale in stated and fields.numbers(name, scale, stated[scale], 1) != [neutral]:
            raise InputError(
                f"{name} states a scale for its intensities, which programs ignore or apply; write "
                f"it again with its values as they are meant"
            )
    order = ">" if _is(stated, "binarydatabyteordermsb") else "<"
    return np.dtype(order + _TYPES[kind])


def _is(stated: Mapping[str, str], field: str) -> bool:
    return stated.get(field, "").lower().startswith(("t", "1", "y"))


def _affine(name: str, stated: Mapping[str, str], axes: int) -> NDArray[np.float64]:
    """From voxel indices to RAS+ in mm."""
    turned = np.eye(axes)
    if "transformmatrix" in stated:
        text = stated["transformmatrix"]
        # It lists the directions of one axis after the other: the columns of an affine.
        turned = np.reshape(fields.numbers(name, "TransformMatrix", text, axes**2), (axes, axes)).T
    sizes, origin = np.ones(axes), np.zeros(axes)
    if spacing := stated.get("elementspacing", stated.get("elementsize", "")):
        sizes = np.asarray(fields.numbers(name, "ElementSpacing", spacing, axes))
    if "offset" in stated:
        origin = np.asarray(fields.numbers(name, "Offset", stated["offset"], axes))
    factor = fields.TO_MM.get(stated.get("distanceunits", "mm").lower(), 1.0)
    columns, corner = np.eye(3), np.zeros(3)
    kept = min(axes, 3)
    columns[:kept, :kept] = (turned * sizes * factor)[:kept, :kept]
    corner[:kept] = factor * origin[:kept]
    return fields.ras(columns, corner, (-1, -1, 1))
