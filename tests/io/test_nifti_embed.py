"""NIfTI files in memory are what nibabel reads."""

from __future__ import annotations

import gzip

import nibabel as nib
import numpy as np
import pytest

from mriseg.errors import InputError
from mriseg.io.nifti_embed import embedded


def test_nibabel_reads_the_values_and_the_place(rng: np.random.Generator) -> None:
    data = rng.integers(0, 256, size=(3, 4, 5), dtype=np.uint8)
    affine = np.array([[2.0, 0, 0, -9], [0, 3, 0.5, 4], [0, 0, 1.5, 7], [0, 0, 0, 1]])
    content = embedded(data, affine, slope=0.25, inter=-7, labels=True)
    image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
    assert np.allclose(image.get_fdata(), data.T * 0.25 - 7)
    assert np.allclose(image.affine, affine)
    assert image.header["intent_code"] == 1002
    assert image.header.get_xyzt_units()[0] == "mm"
    assert embedded(data, affine, slope=0.25, inter=-7, labels=True) == content


@pytest.mark.parametrize(
    "data",
    [np.zeros((2, 2, 2), np.int16), np.zeros((2, 2), np.uint8), np.zeros((1, 1, 2**15), "u1")],
)
def test_what_is_not_a_volume_of_bytes_is_refused(data: np.ndarray) -> None:
    with pytest.raises(InputError):
        embedded(data, np.eye(4))
