"""NIfTI files in and out: an array in the file's own axes, and where it lies in space.

What the header states is checked before a voxel is read (`mriseg.io.voxels`). Readers go through
`mriseg.io.images`, which reads other containers too. Format: https://nifti.nimh.nih.gov.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mriseg.core.orientation import geometry_of
from mriseg.core.volume import Geometry
from mriseg.errors import InputError, OutputError
from mriseg.io import gunzip, voxels
from mriseg.io.disk.atomic import replacing
from mriseg.io.disk.schemas import MAX_VOXELS
from mriseg.io.nifti_header import HEADER_BYTES, Header, parse_header
from mriseg.io.nifti_place import header_for
from mriseg.io.voxels import ImageHeader

Array = NDArray[Any]

SUFFIXES = (".nii", ".nii.gz")

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
    return describe(path).shape


def describe(path: Path) -> ImageHeader:
    """What the header of a ``.nii`` or ``.nii.gz`` file states; reads no voxel.

    Raises:
        InputError: what is wrong with it, in one sentence that begins with its name.
    """
    if not is_nifti(path):
        raise InputError(f"{path.name} is not named .nii or .nii.gz")
    packing = gunzip.packing_of(path)
    with gunzip.opened(path, packing) as file:
        header = parse_header(path.name, file.read(HEADER_BYTES))
    return described(path, header, path, packing)


def described(path: Path, header: Header, data: Path, packing: gunzip.Packing) -> ImageHeader:
    """What a NIfTI header means for reading the voxels after it, or in another file.

    Args:
        path: the file of the header.
        header: as `parse_header` gives it.
        data: the file of the voxels.
        packing: of ``data``.
    """
    full = header.volume_shape
    geometry = geometry_of(
        (full[0], full[1], full[2]),
        header.affine,
        ndim=2 if header.is_slice else 3,
        header=header.place,
    )
    return ImageHeader(
        path=path,
        data=data,
        shape=full,
        dtype=header.dtype,
        geometry=geometry,
        packing=packing,
        offset=header.offset,
        slope=header.slope,
        inter=header.inter,
    )


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
    header = describe(path)
    array = voxels.read(header, max_voxels)
    count = voxels.count_non_finite(array)
    if count:
        raise InputError(f"{path.name} holds {count} voxels that are NaN or infinite")
    return array, header.geometry
