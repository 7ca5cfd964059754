"""The header of a NIfTI file, checked: what the voxels after it are, and where they lie in space.

nibabel reads it. It may come from a stranger, so nothing in it is believed that was not checked.
"""

# nibabel is typed in part only.
# mypy: untyped-calls-exclude="nibabel"
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from mriseg.core.orientation import affine_fault
from mriseg.core.spatial_header import SpatialHeader
from mriseg.core.volume import sides
from mriseg.errors import InputError
from mriseg.io.gunzip import hint
from mriseg.io.nifti_place import spatial_header

HEADER_BYTES = 540
"""The larger of the two header sizes (NIfTI-2); NIfTI-1 has 348 bytes and always 4 after them."""

# Bytes before the voxels: extensions stored there take kilobytes.
_MAX_OFFSET = 2**26

# NIfTI's codes of lengths other than the millimetre, in it: metre and micron. 0 says nothing.
_TO_MM = {1: 1e3, 3: 1e-3}
# By whether half of a pair was expected.
_WRONG_HALF = {
    False: "is half of a .hdr/.img pair; name it .hdr and put the .img beside it",
    True: "is a whole NIfTI file and not half of a pair; name it .nii",
}


@dataclass(frozen=True)
class Header:
    """What reading the voxels after a header takes.

    Attributes:
        shape: the array's axes as the file states them, 2 to 7.
        dtype: of a voxel, with its byte order.
        offset: where the voxels start, in bytes.
        slope: what each stored value is multiplied by.
        inter: what is then added.
        affine: 4x4, from voxel indices to RAS+ world coordinates in mm.
        place: what the file states of the place of its voxels, field by field.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    slope: float
    inter: float
    affine: NDArray[np.float64]
    place: SpatialHeader

    @property
    def is_slice(self) -> bool:
        """Whether the file is 2-D."""
        return len(self.shape) == 2

    @property
    def volume_shape(self) -> tuple[int, ...]:
        """``shape`` with a third axis, and without axes of length 1 after it."""
        full = list(self.shape) + [1] * (3 - len(self.shape))
        while len(full) > 3 and full[-1] == 1:
            full.pop()
        return tuple(full)


def parse_header(name: str, block: bytes, *, pair: bool = False) -> Header:
    """The header at the start of a file.

    Args:
        name: of the file, for messages.
        block: its first `HEADER_BYTES` bytes, or fewer if it is shorter.
        pair: it is the ``.hdr`` of a pair, whose ``.img`` holds the voxels.

    Raises:
        InputError: what is wrong with it, in one sentence that begins with ``name``.
    """
    kind = _kind(name, block)
    size = kind.template_dtype.itemsize
    try:
        # Not checked by nibabel: its check prints warnings and repairs silently.
        raw = kind(block[:size], check=False)
        if pair is bytes(raw["magic"]).startswith(b"n+"):
            raise InputError(f"{name} {_WRONG_HALF[pair]}")
        shape = _shape(name, raw)
        dtype = raw.get_data_dtype()
        if dtype.kind not in "iuf":
            content = "complex numbers" if dtype.kind == "c" else "colours or raw bytes"
            raise InputError(f"{name} holds {content}; expected integers or real numbers")
        slope, inter = raw.get_slope_inter()
        with np.errstate(all="ignore"):
            affine = np.array(raw.get_best_affine(), dtype=np.float64)
            affine[:3] *= _TO_MM.get(int(raw["xyzt_units"]) & 7, 1.0)
        offset = float(raw["vox_offset"])
    except (HeaderDataError, KeyError, ValueError) as error:
        raise InputError(f"{name} has a damaged NIfTI header ({error})") from error
    if not 0 <= offset <= _MAX_OFFSET:
        raise InputError(f"{name} has a damaged NIfTI header (its voxels start at {offset:g})")
    if len(shape) == 2:
        affine = _with_normal(affine)
    fault = affine_fault(affine)
    if fault:
        raise InputError(f"{name} has an affine that {fault}")
    return Header(
        shape=shape,
        dtype=dtype,
        offset=int(offset) if pair else max(int(offset), size + 4),
        slope=1.0 if slope is None else float(slope),
        inter=0.0 if inter is None else float(inter),
        affine=affine,
        place=spatial_header(raw),
    )


def _kind(name: str, block: bytes) -> type[nib.Nifti1Header]:
    if nib.Nifti2Header.may_contain_header(block):
        return nib.Nifti2Header
    if nib.Nifti1Header.may_contain_header(block):
        return nib.Nifti1Header
    raise InputError(f"{name} is not a NIfTI file{hint(block)}")


def _shape(name: str, raw: nib.Nifti1Header) -> tuple[int, ...]:
    axes = int(raw["dim"][0])
    shape = tuple(int(length) for length in raw.get_data_shape())
    if not 2 <= axes <= 7 or len(shape) != axes:
        raise InputError(f"{name} claims {axes} axes; expected 2 to 4")
    if min(shape) < 1:
        raise InputError(f"{name} has no voxels: its header states {sides(shape)}")
    return shape


def _with_normal(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine of a 2-D file, with a third axis of length 1 where its third voxel size is 0.

    Writers of single slices often leave it at 0.
    """
    if affine[:3, 2].any():
        return affine
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    length = float(np.linalg.norm(normal))
    completed = affine.copy()
    completed[:3, 2] = normal / length if length > 0 else 0
    return completed
