"""Images of any container: arrays in the file's own axes, and where they lie in space.

`images` itself
    what every reader uses: `is_image`, `stem`, `read`, `read_labels`, `read_channels`, `header`.
`pairs`
    NIfTI in two files, ``.hdr`` and ``.img``. (NIfTI in one file is `mriseg.io.nifti`.)
`mgh`, `metaimage`, `nrrd`
    FreeSurfer's, ITK's and Slicer's containers.
`fields`
    headers that are text.
`kinds`
    what another file is, and what to do with it.

A container's module has ``describe``, which turns a header into an `ImageHeader`; the voxels are
then read in one way for all of them (`mriseg.io.voxels`), and all lie in RAS+ world coordinates in
mm. gzip is recognised by content, whatever a file is called.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mriseg.core.volume import Geometry
from mriseg.core.wording import counted
from mriseg.errors import InputError
from mriseg.io import nifti, voxels
from mriseg.io.disk.schemas import MAX_VOXELS
from mriseg.io.images import metaimage, mgh, nrrd, pairs
from mriseg.io.images.kinds import kind_of
from mriseg.io.nifti import integer_labels
from mriseg.io.voxels import ImageHeader

__all__ = [
    "SUFFIXES",
    "Channels",
    "Image",
    "ImageHeader",
    "files_of",
    "header",
    "integer_labels",
    "is_image",
    "kind_of",
    "read",
    "read_channels",
    "read_labels",
    "shape",
    "stem",
]

Array = NDArray[Any]

_DESCRIBE: dict[str, Callable[[Path], ImageHeader]] = {
    suffix: describe
    for suffixes, describe in (
        (nifti.SUFFIXES, nifti.describe),
        (pairs.SUFFIXES, pairs.describe),
        (mgh.SUFFIXES, mgh.describe),
        (metaimage.SUFFIXES, metaimage.describe),
        (nrrd.SUFFIXES, nrrd.describe),
    )
    for suffix in suffixes
}

SUFFIXES = tuple(sorted(_DESCRIBE, key=len, reverse=True))
"""Endings of the files that are images; of a pair it is the header's. The longest come first."""

# With more of its voxels not finite, no brain is left. Of a segmentation, a lesion may be.
_MAX_NON_FINITE = 0.995


class Image(NamedTuple):
    """One volume.

    Attributes:
        array: [i, j, k] in the file's own axes, all finite.
        geometry: where it lies.
        notices: irregularities that were accepted, one sentence each.
    """

    array: Array
    geometry: Geometry
    notices: tuple[str, ...]


class Channels(NamedTuple):
    """Volumes on one grid; as `Image`, with one array per volume."""

    arrays: list[Array]
    geometry: Geometry
    notices: tuple[str, ...]


def is_image(path: Path) -> bool:
    """Whether ``path`` is named as an image, in any case; of a pair, as its header."""
    return path.name.lower().endswith(SUFFIXES)


def stem(path: Path) -> str:
    """The file's name without the ending of its container."""
    return path.name.removesuffix(_ending(path))


def header(path: Path) -> ImageHeader:
    """What an image's header states; reads no voxel.

    Raises:
        InputError: what is wrong with the file, in one sentence that begins with its name; also
            where it claims more voxels than it can hold.
    """
    stated = _describe(path)
    voxels.check_size(stated)
    return stated


def shape(path: Path) -> tuple[int, ...]:
    """The array's shape as its header states it, at least 3 axes; reads no voxel."""
    return _describe(path).shape


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that an image consists of, its own first; it alone where that cannot be known."""
    if not path.name.lower().endswith((*pairs.SUFFIXES, ".mhd", ".nhdr")):
        return (path,)
    try:
        return _describe(path).files
    except (InputError, OSError):
        return (path,)


def read(path: Path, max_voxels: int = MAX_VOXELS) -> Image:
    """Read a volume or a single slice.

    Args:
        path: its file, or the header of a pair.
        max_voxels: refuse a file whose header claims more, before taking memory.

    Returns:
        The array: an unscaled integer type is kept, everything else is float32. Voxels that are
        NaN or infinite are 0, the background, with a notice.

    Raises:
        InputError: what is wrong with the file, in one sentence that begins with its name.
    """
    return _single(path, max_voxels, _MAX_NON_FINITE)


def read_labels(path: Path, max_voxels: int = MAX_VOXELS) -> Image:
    """Read a segmentation; as `read`, but the array is uint8.

    Raises:
        InputError: as `read`; or a value is not a label, see `mriseg.io.nifti.integer_labels`.
    """
    array, geometry, notices = _single(path, max_voxels, 1)
    return Image(integer_labels(array), geometry, notices)


def read_channels(path: Path, max_voxels: int = MAX_VOXELS) -> Channels:
    """Read a file of one or more volumes on one grid: channels along the fourth axis.

    As `read`, but gives a list with the array [i, j, k] of each channel.
    """
    array, geometry, notices = _whole(path, max_voxels, _MAX_NON_FINITE)
    if array.ndim > 4:
        raise InputError(f"{path.name} has {array.ndim} axes; expected at most 4")
    if array.ndim == 3:
        return Channels([array], geometry, notices)
    return Channels([array[..., index] for index in range(array.shape[3])], geometry, notices)


def _single(path: Path, max_voxels: int, most: float) -> Image:
    image = _whole(path, max_voxels, most)
    if image.array.ndim != 3:
        volumes = math.prod(image.array.shape[3:])
        raise InputError(f"{path.name} holds {volumes} volumes in one file; expected one")
    return image


def _whole(path: Path, max_voxels: int, most: float) -> Image:
    """All volumes of an image in one array, of which at most a share of ``most`` is not finite."""
    stated = _describe(path)
    array = voxels.read(stated, max_voxels)
    count = voxels.count_non_finite(array)
    if not count:
        return Image(array, stated.geometry, ())
    if count == array.size or count > most * array.size:
        raise InputError(
            f"{path.name} holds {count} voxels that are NaN or infinite, {count / array.size:.4g} "
            f"of all: no brain is left"
        )
    np.nan_to_num(array, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    what = counted(count, "voxel")
    notice = f"{path.name} holds {what} of NaN or infinity; taken as background"
    return Image(array, stated.geometry, (notice,))


def _describe(path: Path) -> ImageHeader:
    ending = _ending(path).lower()
    if not ending:
        raise InputError(
            f"{path.name} is not named as an image that is read here: {' '.join(SUFFIXES)}"
        )
    return _DESCRIBE[ending](path)


def _ending(path: Path) -> str:
    """The ending of the path's container, as it is spelt; or nothing."""
    for suffix in SUFFIXES:
        if path.name.lower().endswith(suffix):
            return path.name[-len(suffix) :]
    return ""
