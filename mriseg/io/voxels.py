"""The voxels of an image, whatever its container, once its header was checked.

They are taken in one pass, so that a header which promises more than its file can hold is refused
before any memory is allocated, and a truncated gzip is noticed even when only its checksum is
missing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.orientation import affine_fault, geometry_of
from mriseg.core.volume import Geometry, sides
from mriseg.errors import InputError
from mriseg.io import gunzip
from mriseg.io.disk.schemas import MAX_VOXELS
from mriseg.io.gunzip import Packing

Array = NDArray[Any]

# Voxels scaled at a time.
_BLOCK = 2**20


@dataclass(frozen=True)
class ImageHeader:
    """What an image's header states, checked; nothing of it needs a voxel to be read.

    Attributes:
        path: the file that is the image to its user.
        data: the file of the voxels: the same one, or its other half (``.img``, ``.zraw``).
        shape: of the array [i, j, k], with further axes where there are several volumes; a single
            slice has a third axis of length 1, and there are no trailing axes of length 1.
        dtype: of a stored voxel, an integer or a real number, with its byte order.
        geometry: where the grid of the first three axes lies.
        packing: how ``data`` stores its voxels.
        start: bytes of ``data`` before those that are packed.
        offset: unpacked bytes before the voxels.
        slope: what each stored value is multiplied by.
        inter: what is then added.
    """

    path: Path
    data: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    geometry: Geometry
    packing: Packing = "raw"
    start: int = 0
    offset: int = 0
    slope: float = 1.0
    inter: float = 0.0

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the image consists of."""
        return tuple(dict.fromkeys((self.path, self.data)))

    @property
    def size(self) -> int:
        """Bytes of all voxels, unpacked."""
        return math.prod(self.shape) * self.dtype.itemsize


def volume_shape(name: str, stated: tuple[int, ...]) -> tuple[int, ...]:
    """A shape as an `ImageHeader` has it, from the axes that a file states.

    Raises:
        InputError: there is no voxel, or another number of axes than 2 to 4.
    """
    if not 2 <= len(stated) <= 4:
        raise InputError(f"{name} claims {len(stated)} axes; expected 2 to 4")
    if min(stated) < 1:
        raise InputError(f"{name} has no voxels: its header states {sides(stated)}")
    full = [*stated, 1][:3] if len(stated) == 2 else list(stated)
    return tuple(full[:3] if full[3:] == [1] else full)


def grid(
    name: str,
    shape: tuple[int, ...],
    affine: NDArray[np.float64],
    *,
    ndim: int = 3,
) -> Geometry:
    """The geometry of an array of ``shape``, whose affine is 4x4 and leads to RAS+ in mm.

    Raises:
        InputError: the affine is singular or not finite; the message begins with ``name``.
    """
    fault = affine_fault(affine)
    if fault:
        raise InputError(f"{name} has an affine that {fault}")
    return geometry_of((shape[0], shape[1], shape[2]), affine, ndim=ndim)


def check_size(header: ImageHeader, max_voxels: int = MAX_VOXELS) -> None:
    """Refuse an image of too many voxels, or of more than its file can hold.

    Raises:
        InputError: what its header claims; the message begins with the name of the file at fault.
    """
    if math.prod(header.shape) > max_voxels:
        raise InputError(
            f"{header.path.name} claims {sides(header.shape)} voxels; at most {max_voxels} are read"
        )
    data = header.data
    if header.offset + header.size > gunzip.capacity(data, header.packing, header.start):
        raise InputError(
            f"{data.name} is truncated or damaged: {_whose(header)} header promises "
            f"{sides(header.shape)} voxels ({header.size} bytes), and a file of "
            f"{data.stat().st_size} bytes cannot hold them"
        )


def read(header: ImageHeader, max_voxels: int = MAX_VOXELS) -> Array:
    """The array of ``header.shape``: an unscaled integer type is kept, all else is float32.

    Raises:
        InputError: as `check_size`; or the file is truncated, damaged or cannot be read.
    """
    check_size(header, max_voxels)
    data = header.data
    buffer = np.empty(header.size, dtype=np.uint8)
    with gunzip.opened(data, header.packing, header.start) as file:
        gunzip.skip(file, header.offset)
        filled = gunzip.fill(file, buffer.data)
        # At the end of the file gzip compares its checksum: a flipped bit or a cut shows here.
        file.read(1)
    if filled < buffer.size:
        raise InputError(
            f"{data.name} is truncated: {_whose(header)} header promises {buffer.size} bytes of "
            f"voxels, it holds {filled}"
        )
    array = buffer.view(header.dtype).reshape(header.shape, order="F")
    return _scaled(array, header.slope, header.inter)


def count_non_finite(array: Array) -> int:
    """How many voxels are NaN or infinite."""
    # The minimum and the maximum carry any NaN or infinity, and need no array of flags.
    if array.dtype.kind != "f" or np.isfinite([array.min(), array.max()]).all():
        return 0
    return int(np.count_nonzero(~np.isfinite(array)))


def _whose(header: ImageHeader) -> str:
    return "its" if header.data == header.path else f"{header.path.name}'s"


def _scaled(array: Array, slope: float, inter: float) -> Array:
    """``array * slope + inter``; integers that need no scaling keep their type, in native order."""
    plain = slope == 1.0 and inter == 0.0
    if plain and array.dtype.kind in "iu":
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    with np.errstate(over="ignore", invalid="ignore"):
        if plain:
            return array.astype(np.float32, copy=False)
        # In float64, where offset and scale cancel, so that the background of a scaled scan is 0;
        # in blocks, since the whole would take several times the scan's memory.
        flat = array.reshape(-1, order="F")
        scaled = np.empty(flat.shape, dtype=np.float32)
        for start in range(0, len(flat), _BLOCK):
            block = flat[start : start + _BLOCK].astype(np.float64)
            block *= slope
            block += inter
            scaled[start : start + _BLOCK] = block
        return scaled.reshape(array.shape, order="F")
