"""NIfTI files in and out: an array in the file's own axes, and where it lies in space.

The header is checked first and the voxels are then taken in one pass, so that a header which
promises more than its file can hold is refused before any memory is allocated, and a truncated
gzip is noticed even when only its checksum is missing. Format: https://nifti.nimh.nih.gov.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from mriseg.core.orientation import geometry_of
from mriseg.core.volume import Geometry, sides
from mriseg.errors import InputError, OutputError
from mriseg.io import gunzip
from mriseg.io.disk.atomic import replacing
from mriseg.io.disk.schemas import MAX_VOXELS
from mriseg.io.nifti_header import HEADER_BYTES, Header, parse_header
from mriseg.io.nifti_place import header_for

Array = NDArray[Any]

SUFFIXES = (".nii", ".nii.gz")

# Voxels scaled at a time.
_BLOCK = 2**20
# A label further than this from a whole number was not rounded: it was interpolated.
_LABEL_TOLERANCE = 0.05


def is_nifti(path: Path) -> bool:
    """Whether ``path`` is named as a NIfTI file, in any case."""
    return path.name.lower().endswith(SUFFIXES)


def stem(path: Path) -> str:
    """The file's name without ``.nii`` or ``.nii.gz``."""
    name = path.name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def read(path: Path, max_voxels: int = MAX_VOXELS) -> tuple[Array, Geometry]:
    """Read a volume or a single slice.

    Args:
        path: a ``.nii`` or ``.nii.gz`` file, NIfTI-1 or NIfTI-2.
        max_voxels: refuse a file whose header claims more, before taking memory.

    Returns:
        The array [i, j, k] in the file's own axes, with ``scl_slope`` and ``scl_inter`` applied;
        an unscaled integer type is kept, everything else is float32. A 2-D
        file gets a third axis of length 1; trailing axes of length 1 are dropped.

    Raises:
        InputError: what is wrong with the file, in one sentence that begins with its name.
    """
    array, geometry = _read(path, max_voxels)
    if array.ndim != 3:
        raise InputError(
            f"{path.name} holds {math.prod(array.shape[3:])} volumes in one file; expected one"
        )
    return array, geometry


def read_channels(path: Path, max_voxels: int = MAX_VOXELS) -> tuple[list[Array], Geometry]:
    """Read a file of one or more volumes on one grid: channels along the fourth axis.

    As `read`, but gives a list with the array [i, j, k] of each channel.
    """
    array, geometry = _read(path, max_voxels)
    if array.ndim > 4:
        raise InputError(f"{path.name} has {array.ndim} axes; expected at most 4")
    if array.ndim == 3:
        return [array], geometry
    return [array[..., index] for index in range(array.shape[3])], geometry


def shape(path: Path) -> tuple[int, ...]:
    """The array's shape as its header states it, at least 3 axes; reads no voxel."""
    with _opened(path) as file:
        return parse_header(path.name, file.read(HEADER_BYTES)).volume_shape


def grid(path: Path) -> Geometry:
    """Where the voxels lie, as the header states it; reads no voxel."""
    with _opened(path) as file:
        return _grid(parse_header(path.name, file.read(HEADER_BYTES)))


def integer_labels(array: Array) -> NDArray[np.uint8]:
    """Labels as uint8, undoing what a float type or ``scl_slope`` did to them.

    Args:
        array: labels of any numeric type, such as 3.9999999990 or 1.00392163.

    Raises:
        InputError: a value is not within 0.05 of a whole number from 0 to 255.
    """
    with np.errstate(invalid="ignore"):
        exact = array.astype(np.uint8, copy=False)
    # Nearly always they are whole numbers; two passes confirm it, and only others are examined.
    if np.array_equal(exact, array):
        return exact
    rounded = array
    if array.dtype.kind == "f":
        rounded = np.rint(array)
        with np.errstate(invalid="ignore"):
            # Not ">": NaN must count as off, too.
            off = ~(np.abs(array - rounded) <= _LABEL_TOLERANCE)
        if off.any():
            raise InputError(
                f"the segmentation holds {array[off].flat[0]:g}; labels are whole numbers"
            )
    low, high = rounded.min(), rounded.max()
    if low < 0 or high > 255:
        raise InputError(
            f"the segmentation's labels run from {low:g} to {high:g}; expected 0 to 255"
        )
    return cast("NDArray[np.uint8]", rounded.astype(np.uint8))


def write(path: Path, array: Array, geometry: Geometry) -> None:
    """Write a mask or a map onto a scan's own grid, whole or not at all.

    Equal input gives equal bytes, and nothing but the array and the grid is written: no names,
    no dates, no description. Of a NIfTI scan, all that its header says of the grid is repeated.

    Args:
        path: ends in ``.nii`` or ``.nii.gz``; its folder is created.
        array: of ``geometry.shape``, in the source's axes; integers and booleans are written as
            uint8, floats as float32.
        geometry: the grid; a 2-D source gets a 2-D file.

    Raises:
        InputError: the array is not on that grid, or holds integers beyond 0 to 255.
        OutputError: the file cannot be written.
    """
    if not is_nifti(path):
        raise OutputError(f"{path.name} would be written as NIfTI; name it .nii or .nii.gz")
    if array.shape != geometry.shape:
        raise InputError(f"an array of shape {array.shape} is not on a grid of {geometry.shape}")
    if array.dtype.kind == "f":
        data: Array = array.astype(np.float32)
    elif array.size and (array.min() < 0 or array.max() > 255):
        raise InputError(f"a mask of {array.min()} to {array.max()} does not fit into 0 to 255")
    else:
        data = array.astype(np.uint8)
    if geometry.ndim == 2:
        data = data[..., 0]

    header = header_for(data, geometry)
    content = header.binaryblock + bytes(4) + data.tobytes(order="F")
    if gunzip.is_gzipped(path):
        content = gunzip.compress(content)
    with replacing(path) as part:
        part.write_bytes(content)


def _read(path: Path, max_voxels: int) -> tuple[Array, Geometry]:
    with _opened(path) as file:
        start = file.read(HEADER_BYTES)
        header = parse_header(path.name, start)
        buffer = np.empty(_checked_size(path, header, max_voxels), dtype=np.uint8)
        # What was read beyond the offset already belongs to the voxels.
        first = start[header.offset :][: buffer.size]
        buffer[: len(first)] = np.frombuffer(first, dtype=np.uint8)
        if header.offset > len(start):
            gunzip.skip(file, header.offset - len(start))
        filled = len(first) + gunzip.fill(file, buffer.data[len(first) :])
        # At the end of the file gzip compares its checksum: a flipped bit or a cut shows here.
        file.read(1)
    if filled < buffer.size:
        raise InputError(
            f"{path.name} is truncated: its header promises {buffer.size} bytes of voxels, "
            f"it holds {filled}"
        )

    array = buffer.view(header.dtype).reshape(header.shape, order="F")
    array = _scaled(array, header.slope, header.inter)
    _check_finite(path, array)
    return array.reshape(header.volume_shape, order="F"), _grid(header)


def _grid(header: Header) -> Geometry:
    full = header.volume_shape
    return geometry_of(
        (full[0], full[1], full[2]),
        header.affine,
        ndim=2 if header.is_slice else 3,
        header=header.place,
    )


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if not is_nifti(path):
        raise InputError(f"{path.name} is not named .nii or .nii.gz")
    with gunzip.opened(path) as file:
        yield file


def _checked_size(path: Path, header: Header, max_voxels: int) -> int:
    """The bytes that the voxels take, if the file can hold them and they are not too many."""
    count = math.prod(header.shape)
    if count > max_voxels:
        raise InputError(
            f"{path.name} claims {sides(header.shape)} voxels; at most {max_voxels} are read"
        )
    size = count * header.dtype.itemsize
    if header.offset + size > gunzip.capacity(path):
        raise InputError(
            f"{path.name} is truncated or damaged: its header promises {sides(header.shape)} "
            f"voxels ({size} bytes), and a file of {path.stat().st_size} bytes cannot hold them"
        )
    return size


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


def _check_finite(path: Path, array: Array) -> None:
    # The minimum and the maximum carry any NaN or infinity, and need no array of flags.
    if array.dtype.kind == "f" and not np.isfinite([array.min(), array.max()]).all():
        count = int(np.count_nonzero(~np.isfinite(array)))
        raise InputError(f"{path.name} holds {count} voxels that are NaN or infinite")
