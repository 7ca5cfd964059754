from __future__ import annotations

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mriseg.errors import InputError
from mriseg.io import images

ARRAY = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
AFFINE = np.array([[0, 0, 2, 5], [-1.5, 0, 0, 6], [0, -3, 0, 7], [0, 0, 0, 1]])


def save(path: Path, kind: type = nib.Nifti1Pair) -> Path:
    nib.save(kind(ARRAY, AFFINE), path)
    return path


@pytest.mark.parametrize("kind", [nib.Nifti1Pair, nib.Nifti2Pair])
@pytest.mark.parametrize("header", [".hdr", ".hdr.gz", ".HDR"])
@pytest.mark.parametrize("other", [".img", ".img.gz", ".IMG"])
def test_either_half_may_be_gzipped(tmp_path: Path, kind: type, header: str, other: str) -> None:
    save(tmp_path / "a.hdr", kind)
    for name, ending in (("a.hdr", header), ("a.img", other)):
        content = (tmp_path / name).read_bytes()
        stored = gzip.compress(content, mtime=0) if ending.endswith("gz") else content
        (tmp_path / f"x{ending}").write_bytes(stored)
    array, geometry, _ = images.read(tmp_path / f"x{header}")
    np.testing.assert_array_equal(array, ARRAY)
    np.testing.assert_allclose(geometry.affine, AFFINE, atol=1e-5)


def test_voxels_that_look_like_gzip(tmp_path: Path) -> None:
    path = save(tmp_path / "x.hdr")
    voxels = b"\x1f\x8b\x08" + bytes(45)
    (tmp_path / "x.img").write_bytes(voxels)
    assert images.read(path).array.tobytes("F") == voxels


def test_analyze_is_refused(tmp_path: Path) -> None:
    nib.save(nib.AnalyzeImage(ARRAY, np.diag([2.0, 3, 4, 1])), tmp_path / "x.hdr")
    with pytest.raises(InputError, match=r"^x\.hdr is Analyze 7.5, .* which side is the left one"):
        images.read(tmp_path / "x.hdr")


def test_only_one_half(tmp_path: Path) -> None:
    path = save(tmp_path / "x.hdr")
    (tmp_path / "x.img").rename(tmp_path / "y.img")
    with pytest.raises(InputError, match=r"^x\.hdr is half of a pair, and there is no x\.img"):
        images.read(path)


def test_two_other_halves(tmp_path: Path) -> None:
    path = save(tmp_path / "x.hdr")
    (tmp_path / "x.img.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"two files of voxels, x\.img and x\.img\.gz"):
        images.read(path)


def test_a_whole_file_named_as_half(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(ARRAY, AFFINE), tmp_path / "x.nii")
    (tmp_path / "x.nii").rename(tmp_path / "x.hdr")
    with pytest.raises(InputError, match=r"^x\.hdr is a whole NIfTI file .* name it \.nii"):
        images.read(tmp_path / "x.hdr")


def test_a_text_that_is_the_header_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "x.hdr").write_bytes(b"ENVI\nsamples = 240\n")
    with pytest.raises(InputError, match=r"^x\.hdr is not a NIfTI file .*'ENVI"):
        images.read(tmp_path / "x.hdr")
