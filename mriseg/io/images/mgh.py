"""FreeSurfer's container: ``.mgz``, and ``.mgh`` where it is not packed. nibabel reads the header.

Format: https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat.
"""

# nibabel is typed in part only.
# mypy: untyped-calls-exclude="nibabel"
from __future__ import annotations

from pathlib import Path

import numpy as np
from nibabel.freesurfer.mghformat import MGHError, MGHHeader
from nibabel.spatialimages import HeaderDataError

from mriseg.errors import InputError
from mriseg.io import gunzip
from mriseg.io.voxels import ImageHeader, grid, volume_shape

SUFFIXES = (".mgz", ".mgh", ".mgh.gz")

_HEADER_BYTES = 284
_VERSION = b"\0\0\0\1"


def describe(path: Path) -> ImageHeader:
    """What the header of a FreeSurfer volume states; reads no voxel.

    Raises:
        InputError: what is wrong with it, in one sentence that begins with its name.
    """
    name = path.name
    packing = gunzip.packing_of(path)
    with gunzip.opened(path, packing) as file:
        block = file.read(_HEADER_BYTES)
    if not block.startswith(_VERSION) or len(block) < _HEADER_BYTES:
        raise InputError(f"{name} is not a FreeSurfer volume{gunzip.hint(block)}")
    try:
        header = MGHHeader(block, check=False)
        dtype = header.get_data_dtype()
        shape = tuple(int(length) for length in header["dims"])
        with np.errstate(all="ignore"):
            affine = np.array(header.get_affine(), dtype=np.float64)
    except (MGHError, HeaderDataError, KeyError, ValueError, OverflowError) as error:
        raise InputError(f"{name} has a damaged FreeSurfer header ({error})") from error
    if dtype.kind not in "iuf" or dtype.names is not None:
        raise InputError(f"{name} holds {dtype}; expected integers or real numbers")
    full = volume_shape(name, shape)
    return ImageHeader(
        path=path,
        data=path,
        shape=full,
        dtype=dtype,
        geometry=grid(name, full, affine),
        packing=packing,
        # FreeSurfer's numbers are in the big-endian order, and its header is 284 bytes long.
        offset=_HEADER_BYTES,
    )
