from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.io.images import is_image, kind_of


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("IM0001", bytes(128) + b"DICM", "DICOM, .* --layout dicom"),
        ("x.nii.gz", bytes(128) + b"DICM", "DICOM"),
        ("x.ima", b"", "named as DICOM, which its content is not"),
        ("x.DCM", b"", "named as DICOM"),
        ("DICOMDIR", b"", "DICOMDIR, an index of the DICOM files"),
        ("x.nii.gz", b"<!DOCTYPE html>", "a web page: download"),
        ("x.nii", b"\n<HTML>", "a web page"),
        ("x.nii.gz", b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer.*pull"),
        ("x.mnc", b"CDF\x01", "MINC 1"),
        ("x.mnc", b"\x89HDF\r\n", "MINC 2: .* mnc2nii"),
        ("x.PAR", b"# === DATA DESCRIPTION FILE ===", "the header of PAR/REC"),
        ("x.rec", b"", "the voxels of PAR/REC"),
        ("x+orig.BRIK.gz", b"", "the voxels of AFNI's HEAD/BRIK: .* 3dAFNItoNIFTI"),
        ("x", b"\x89PNG\r\n", r"a picture \(PNG\)"),
        ("x.jpg", b"", r"a picture \(JPEG\)"),
        ("x.h5", b"", "HDF5: .*volume_1_slice_0.h5"),
        ("x.npy", b"", ".* without voxel size"),
        ("x.mif.gz", b"", "MRtrix"),
        ("x.nii.bz2", b"BZh9", "packed with bzip2: unpack it"),
        ("x.zip", b"PK\x03\x04", "a zip archive: unpack it"),
        ("x.tar.gz", b"", "a tar archive"),
        ("x.raw", b"", r"voxels without their header \(x.mhd or x.nhdr\)"),
    ],
)
def test_what_a_file_is(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert re.search(f"^{kind}", kind_of(tmp_path / name) or "")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("README.md", b"text"),
        ("page.html", b"<html>"),
        ("x.nii.gz", b"\x1f\x8b"),
        ("x.json", b"{}"),
        ("x.csv", b""),
        ("x", b""),
    ],
)
def test_what_is_nothing_like_an_image(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert kind_of(tmp_path / name) is None


@pytest.mark.parametrize(
    ("header", "voxels"),
    [("x.hdr", "x.img"), ("x.hdr", "x.img.gz"), ("x.mhd", "x.zraw"), ("x.nhdr", "x.raw.gz")],
)
def test_the_voxels_of_an_image_in_two_files(tmp_path: Path, header: str, voxels: str) -> None:
    (tmp_path / voxels).touch()
    assert (kind_of(tmp_path / voxels) or "").startswith("voxels without their header")
    (tmp_path / header).touch()
    assert kind_of(tmp_path / voxels) == f"the voxels of {header}, which is the file to give"
    assert not is_image(tmp_path / voxels)


@given(st.binary(max_size=600), st.sampled_from(["x", "x.nii.gz", "x.img", "x.mnc", "\udcff.raw"]))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str) -> None:
    path = tmp_path_factory.mktemp("kinds") / name
    path.write_bytes(content)
    assert kind_of(path) is None or kind_of(path)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "folder.dcm").mkdir()
    assert (kind_of(tmp_path / "folder.dcm") or "").startswith("named as DICOM")
    assert kind_of(tmp_path / "missing") is None
    assert kind_of(tmp_path / "a\0b") is None
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert kind_of(tmp_path / "pipe") is None
