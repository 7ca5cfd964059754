"""A NIfTI file that someone sent: checked as one from a disk is, within a size that is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mriseg.core.volume import Geometry
from mriseg.io import nifti
from mriseg.io.disk.atomic import temporary_folder


def received_labels(content: bytes, max_voxels: int) -> tuple[NDArray[np.uint8], Geometry]:
    """The label map in the bytes of a ``.nii`` or ``.nii.gz`` file.

    Args:
        content: of the file.
        max_voxels: refuse a header that claims more, before taking memory.

    Returns:
        The labels [i, j, k] in the file's own axes, and where they lie.

    Raises:
        InputError: what is wrong with it, in one sentence.
    """
    # The readers take files: they unpack a piece at a time, so that a small file stays small.
    with temporary_folder() as folder:
        path = folder / "mask.nii"
        path.write_bytes(content)
        array, geometry = nifti.read(path, max_voxels)
    return nifti.integer_labels(array), geometry
