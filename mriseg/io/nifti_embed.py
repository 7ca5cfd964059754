"""NIfTI files in memory, for pages that hold their scans: one byte per voxel, gzipped."""

# nibabel is typed in part only.
# mypy: untyped-calls-exclude="nibabel"
from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from mriseg.errors import InputError
from mriseg.io import gunzip

# NIfTI's code for "these numbers are labels".
_LABELS = 1002
_SCANNER, _ALIGNED = 1, 2


def embedded(
    data: NDArray[np.uint8],
    affine: NDArray[np.float64],
    *,
    slope: float = 1.0,
    inter: float = 0.0,
    in_mm: bool = True,
    labels: bool = False,
) -> bytes:
    """A gzipped NIfTI-1 file. Equal input gives equal bytes; it holds no name and no date.

    Args:
        data: [k, j, i], the file's axes in reverse.
        affine: 4x4, from (i, j, k) to world coordinates.
        slope: a voxel's value is ``slope * n + inter``.
        inter: see there.
        in_mm: whether the world is in mm.
        labels: whether the numbers are labels rather than intensities.

    Raises:
        InputError: the array is not a volume of bytes, or too long for NIfTI-1.
    """
    if data.dtype != np.uint8 or data.ndim != 3:
        raise InputError(f"a {data.ndim}-D array of {data.dtype} is not a volume of bytes")
    if max(data.shape) >= 2**15:
        raise InputError(f"a side of {max(data.shape)} voxels does not fit into NIfTI-1")
    raw: Any = nib.Nifti1Header()
    raw.set_data_dtype(np.uint8)
    raw.set_data_shape(data.shape[::-1])
    raw.set_xyzt_units("mm" if in_mm else "unknown")
    raw["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    raw.set_sform(affine, _SCANNER if in_mm else _ALIGNED)
    raw["vox_offset"] = raw.sizeof_hdr + 4
    raw["scl_slope"], raw["scl_inter"] = slope, inter
    raw["intent_code"] = _LABELS if labels else 0
    content = raw.binaryblock + bytes(4) + np.ascontiguousarray(data).tobytes()
    # The voxels of a scan are noise: a higher level takes longer and saves a hundredth.
    return gunzip.compress(content, level=2)
