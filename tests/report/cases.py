"""Real cases for tests of reports, read with nibabel."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np

from mriseg.core.orientation import geometry_of
from mriseg.core.prepare import PreparedCase, prepare


def brats_case(folder: Path) -> PreparedCase:
    """A case of BraTS up to 2021, such as ``x_flair.nii.gz`` and ``x_seg.nii.gz``."""
    arrays = {}
    for path in sorted(folder.glob("*.nii.gz")):
        image = nib.load(path)
        kind = path.name.removesuffix(".nii.gz").split("_")[-1].upper()
        arrays[kind] = np.asanyarray(image.dataobj)
    labels = arrays.pop("SEG").astype(np.uint8)
    return prepare(arrays, labels, geometry_of(labels.shape, image.affine))
