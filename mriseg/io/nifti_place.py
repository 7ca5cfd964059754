"""Where a NIfTI header says that its voxels lie: taken out of a header, and put into one.

A mask's header is its scan's, so that every program places both alike, whichever of the header's
two forms it prefers.
"""

# nibabel is typed in part only.
# mypy: untyped-calls-exclude="nibabel"
from __future__ import annotations

from typing import Any, cast

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from mriseg.core.spatial_header import SpatialHeader
from mriseg.core.volume import Geometry

Array = NDArray[Any]

# Of xyzt_units: the other bits are of time.
_SPATIAL_UNIT = 7
# NIfTI's codes: the scanner's world; and another scan's, all that can be said without a voxel size.
_SCANNER, _ALIGNED = 1, 2
_NIFTI_1_SIDE = 2**15 - 1


def spatial_header(raw: nib.Nifti1Header) -> SpatialHeader:
    """What a header says of the place of its voxels.

    What is not a finite number is left out: a form that holds one says nothing, and a voxel size
    is then that of the sform.

    Args:
        raw: of either version; at least one form is finite.
    """
    sform = np.array([raw[f"srow_{axis}"] for axis in "xyz"], dtype=np.float64)
    rotation = _numbers(raw, "quatern_b", "quatern_c", "quatern_d")
    offset = _numbers(raw, "qoffset_x", "qoffset_y", "qoffset_z")
    pixdim = np.array(raw["pixdim"][:4], dtype=np.float64)
    codes = {name: _code(raw[f"{name}_code"]) for name in ("sform", "qform")}
    if not np.isfinite(sform).all():
        sform, codes["sform"] = np.zeros((3, 4)), 0
    if not np.isfinite([*rotation, *offset, *pixdim]).all():
        rotation, offset, codes["qform"] = np.zeros(3), np.zeros(3), 0
        sizes = np.array([1.0, *np.linalg.norm(sform[:, :3], axis=0)])
        pixdim = np.where(np.isfinite(pixdim), pixdim, sizes)
    return SpatialHeader(
        version=2 if isinstance(raw, nib.Nifti2Header) else 1,
        sform=cast(Any, tuple(tuple(row) for row in sform.tolist())),
        sform_code=codes["sform"],
        quaternion=cast(Any, tuple(rotation.tolist())),
        offset=cast(Any, tuple(offset.tolist())),
        qform_code=codes["qform"],
        pixdim=cast(Any, tuple(pixdim.tolist())),
        unit=int(raw["xyzt_units"]) & _SPATIAL_UNIT,
    )


def header_for(data: Array, geometry: Geometry) -> nib.Nifti1Header:
    """The header of a file of ``data`` that lies where ``geometry`` says, and says nothing else.

    Args:
        data: uint8 or float32, with the axes of the file.
        geometry: of the scan. Its ``header`` is repeated field by field; without one, its affine is
            both forms, or the sform alone where a quaternion cannot hold it.
    """
    source = geometry.header
    # NIfTI-1 states lengths in 16 bits.
    two = max(data.shape) > _NIFTI_1_SIDE or (source is not None and source.version == 2)
    raw: Any = nib.Nifti2Header() if two else nib.Nifti1Header()
    raw.set_data_dtype(data.dtype)
    raw.set_data_shape(data.shape)
    # After the header, 4 bytes say that nothing else comes before the voxels.
    raw["vox_offset"] = raw.sizeof_hdr + 4
    if source is not None:
        _repeat(raw, source)
    else:
        _place(raw, np.asarray(geometry.affine), in_mm=geometry.unit == "mm")
    return cast("nib.Nifti1Header", raw)


def _repeat(raw: Any, source: SpatialHeader) -> None:
    for axis, row in zip("xyz", source.sform, strict=True):
        raw[f"srow_{axis}"] = row
    for axis, value in zip("bcd", source.quaternion, strict=True):
        raw[f"quatern_{axis}"] = value
    for axis, value in zip("xyz", source.offset, strict=True):
        raw[f"qoffset_{axis}"] = value
    raw["sform_code"], raw["qform_code"] = source.sform_code, source.qform_code
    raw["pixdim"][:4] = source.pixdim
    raw["xyzt_units"] = source.unit


def _place(raw: Any, affine: Array, *, in_mm: bool) -> None:
    code = _SCANNER if in_mm else _ALIGNED
    raw.set_xyzt_units("mm" if in_mm else "unknown")
    raw["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    raw.set_sform(affine, code)
    raw.set_qform(affine, code)
    # A quaternion cannot hold a shear: then only the sform says where the voxels are.
    if not np.allclose(raw.get_qform(), affine, atol=1e-3):
        raw.set_qform(None, 0)


def _numbers(raw: Any, *fields: str) -> Array:
    return np.array([float(raw[field]) for field in fields])


def _code(value: Any) -> int:
    """A code in the 16 bits of NIfTI-1, still 0 only where it was."""
    return max(-(2**15), min(int(value), 2**15 - 1))
