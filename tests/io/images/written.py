"""One volume in every container, as the field's own libraries write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import SimpleITK
from numpy.typing import NDArray

Array = NDArray[Any]

ITK = (".nii", ".nii.gz", ".hdr", ".mha", ".mhd", ".nrrd", ".nhdr")
NIBABEL = (".nii", ".nii.gz", ".hdr", ".mgh", ".mgz")
# What FreeSurfer's container knows.
MGH_TYPES = ("uint8", "int16", "int32", "float32")

_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def by_itk(path: Path, array: Array, affine: Array, *, packed: bool = False) -> Path:
    """Write ``array`` [i, j, k] with its affine to RAS+, whose axes are orthogonal."""
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose()))
    lps = _LPS @ affine
    sizes = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(sizes.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / sizes).ravel().tolist())
    SimpleITK.WriteImage(image, str(path), useCompression=packed)
    return path


def by_nibabel(path: Path, array: Array, affine: Array) -> Path:
    """The same; one file, or the two of a pair."""
    if path.suffix in (".mgh", ".mgz"):
        nib.save(nib.MGHImage(array, affine), path)
    elif path.suffix == ".hdr":
        nib.save(nib.Nifti1Pair(array, affine, dtype=array.dtype), path)
    else:
        nib.save(nib.Nifti1Image(array, affine, dtype=array.dtype), path)
    return path


def voxels(path: Path) -> Array:
    """The voxels [i, j, k] as ITK reads them."""
    return np.asarray(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path))).T)


def positions(path: Path, indices: Array) -> Array:
    """Where ITK says that voxels [n, 3] lie, in RAS+."""
    image = SimpleITK.ReadImage(str(path))
    points = [image.TransformContinuousIndexToPhysicalPoint(index) for index in indices.tolist()]
    return np.asarray(points) * (-1, -1, 1)


def metaimage(path: Path, *lines: str, voxels: bytes = bytes(48), shape: str = "4 3 2") -> Path:
    """A MetaImage of 4 x 3 x 2 shorts, with lines of the header added before the last."""
    head = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        f"DimSize = {shape}",
        "ElementType = MET_SHORT",
        *lines,
    ]
    if not any(line.startswith("ElementDataFile") for line in lines):
        head.append("ElementDataFile = LOCAL")
    path.write_bytes("\n".join(head).encode() + b"\n" + voxels)
    return path


def nrrd(path: Path, *lines: str, voxels: bytes = bytes(48), **changed: str) -> Path:
    """A NRRD file of 4 x 3 x 2 shorts, with fields changed (empty: left out) or added."""
    stated = {
        "type": "short",
        "dimension": "3",
        "sizes": "4 3 2",
        "endian": "little",
        "encoding": "raw",
        **changed,
    }
    head = ["NRRD0004", "# remark", *(f"{key}: {text}" for key, text in stated.items() if text)]
    path.write_bytes("\n".join([*head, *lines]).encode() + b"\n\n" + voxels)
    return path
