from __future__ import annotations

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mriseg.errors import InputError
from mriseg.io import images

_FIXED = nib.freesurfer.mghformat.MGHHeader._hdrdtype.itemsize


def save(path: Path, **fields: object) -> Path:
    nib.save(nib.MGHImage(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4)), path)
    content = bytearray(path.read_bytes())
    header = nib.freesurfer.mghformat.MGHHeader(bytes(content[:284]), check=False)
    for name, value in fields.items():
        header._structarr[name] = value
    # What follows is padding, and not the footer that nibabel keeps with the header.
    content[:_FIXED] = header.binaryblock[:_FIXED]
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("suffix", [".mgh", ".mgz", ".mgh.gz"])
def test_voxels_are_those_of_nibabel(tmp_path: Path, suffix: str) -> None:
    affine = np.array([[0, 0, 2, 5], [-1.5, 0, 0, 6], [0, -3, 0, 7], [0, 0, 0, 1]])
    image = nib.MGHImage(np.arange(24, dtype=np.float32).reshape(2, 3, 4), affine)
    image.to_filename(tmp_path / "x.mgh")
    content = (tmp_path / "x.mgh").read_bytes()
    (tmp_path / f"x{suffix}").write_bytes(
        gzip.compress(content, mtime=0) if "z" in suffix else content
    )
    array, geometry, _ = images.read(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(array, image.get_fdata())
    np.testing.assert_allclose(geometry.affine, affine, atol=1e-5)


def test_a_header_without_an_orientation(tmp_path: Path) -> None:
    path = save(tmp_path / "x.mgh", goodRASFlag=0)
    np.testing.assert_allclose(images.read(path).geometry.affine, nib.load(path).affine)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"version": 2}, "not a FreeSurfer volume"),
        ({"type": 99}, "damaged FreeSurfer header"),
        ({"dims": [2, 0, 4, 1]}, "no voxels"),
        ({"dims": [2, -3, 4, 1]}, "no voxels"),
        ({"dims": [2000, 3000, 4000, 1]}, "at most 536870912"),
        ({"dims": [200, 300, 400, 1]}, "cannot hold them"),
        ({"delta": [1, 1, 0]}, "a size of 1 x 1 x 0"),
        ({"Mdc": np.ones((3, 3))}, "singular"),
        ({"Pxyz_c": [np.nan, 0, 0]}, "not finite"),
    ],
)
def test_what_is_refused(tmp_path: Path, fields: dict[str, object], why: str) -> None:
    with pytest.raises(InputError, match=rf"^x\.mgh .*{why}"):
        images.read(save(tmp_path / "x.mgh", **fields))


def test_a_short_file(tmp_path: Path) -> None:
    (tmp_path / "x.mgh").write_bytes(struct.pack(">7i", 1, 2, 3, 4, 1, 0, 0))
    with pytest.raises(InputError, match="not a FreeSurfer volume"):
        images.read(tmp_path / "x.mgh")
