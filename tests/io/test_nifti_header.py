from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from mriseg.errors import InputError
from mriseg.io.nifti_header import HEADER_BYTES, parse_header


def block(*shape: int, **fields: object) -> bytes:
    """The start of a NIfTI-1 file of that shape, with header fields set as given."""
    image = nib.Nifti1Image(np.zeros(shape, np.int16), np.diag([2.0, 3, 4, 1]))
    raw = nib.Nifti1Header(image.to_bytes()[:348], check=False)
    for name, value in fields.items():
        raw[name] = value
    return bytes(raw.binaryblock) + bytes(HEADER_BYTES - 348)


def test_what_reading_the_voxels_takes() -> None:
    header = parse_header("x", block(3, 4, 5, vox_offset=1000, scl_slope=2, scl_inter=-1))
    assert (header.shape, header.volume_shape, header.is_slice) == ((3, 4, 5), (3, 4, 5), False)
    assert (header.dtype, header.offset) == (np.dtype(np.int16), 1000)
    assert (header.slope, header.inter) == (2, -1)
    np.testing.assert_array_equal(header.affine, np.diag([2.0, 3, 4, 1]))


@pytest.mark.parametrize(
    ("shape", "volume"),
    [((3, 4), (3, 4, 1)), ((3, 4, 1), (3, 4, 1)), ((3, 4, 5, 1, 1), (3, 4, 5)),
     ((3, 4, 5, 1, 2), (3, 4, 5, 1, 2))],
)  # fmt: skip
def test_the_shape_of_the_volume(shape: tuple[int, ...], volume: tuple[int, ...]) -> None:
    header = parse_header("x", block(*shape))
    assert header.volume_shape == volume
    assert header.is_slice == (len(shape) == 2)


def test_voxels_never_start_inside_the_header() -> None:
    assert parse_header("x", block(2, 2, 2, vox_offset=0)).offset == 352


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"", r"x is not a NIfTI file \(it is empty\)"),
        (block(2, 2, 2, magic=b"ni1"), r"x is half of a \.hdr/\.img pair"),
        (block(2, 2, 2, vox_offset=2**27), r"x has a damaged NIfTI header \(its voxels start"),
        (block(2, 2, 2, dim=[3, 2, 0, 2, 1, 1, 1, 1]), "x has no voxels: .*2 x 0 x 2"),
        (block(2, 2, 2, dim=[9, 2, 2, 2, 1, 1, 1, 1]), "x"),
        (block(2, 2, 2, sform_code=1, srow_x=[0, 0, 0, 0]), "x has an affine that gives voxels"),
    ],
)
def test_a_header_that_cannot_be_used_is_refused(start: bytes, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        parse_header("x", start)
