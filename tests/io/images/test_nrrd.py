from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import pytest

from mriseg.errors import InputError
from mriseg.io import images
from tests.io.images.written import nrrd, positions, voxels

VOXELS = np.arange(24, dtype="<i2")
CORNERS = np.array([(0.0, 0, 0), (3, 0, 0), (0, 2, 0), (0, 0, 1)])
DIRECTIONS = "space directions: (1,0,0.1) (0,2,0) (0,0,3)"
ORIGIN = "space origin: (4,5,6)"


@pytest.mark.parametrize(
    "lines",
    [
        (),
        *[
            (f"space: {space}", DIRECTIONS, ORIGIN)
            for space in (
                "right-anterior-superior",
                "left-anterior-superior",
                "left-posterior-superior",
                "RAS",
                "LAS",
                "lps",
                "scanner-xyz",
                "3D-left-handed",
            )
        ],
        ("space dimension: 3", DIRECTIONS, ORIGIN),
        ("spacings: 1 2 3",),
        ("key:=value", "content: something", "thicknesses: 2 2 2"),
        ("space: RAS", DIRECTIONS, "measurement frame: (0,1,0) (1,0,0) (0,0,1)"),
        ("byte skip: 0", "line skip: 0"),
        ("byte skip: -1",),
    ],
)
def test_a_header_means_what_it_means_to_itk(tmp_path: Path, lines: tuple[str, ...]) -> None:
    path = nrrd(tmp_path / "x.nrrd", *lines, voxels=VOXELS.tobytes())
    array, geometry, _ = images.read(path)
    np.testing.assert_array_equal(array, voxels(path))
    affine = np.asarray(geometry.affine)
    seen = CORNERS @ affine[:3, :3].T + affine[:3, 3]
    np.testing.assert_allclose(seen, positions(path, CORNERS), atol=1e-5)


def test_lengths_are_in_mm(tmp_path: Path) -> None:
    units = 'space units: "cm" "cm" "cm"'
    path = nrrd(tmp_path / "x.nrrd", "space: RAS", DIRECTIONS, ORIGIN, units)
    expected = [[10, 0, 0, 40], [0, 20, 0, 50], [1, 0, 30, 60], [0, 0, 0, 1]]
    np.testing.assert_allclose(images.read(path).geometry.affine, expected)


def test_bytes_in_the_other_order(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "x.nrrd", voxels=VOXELS.astype(">i2").tobytes(), endian="big")
    np.testing.assert_array_equal(images.read(path).array.ravel("F"), VOXELS)


def test_windows_ends_of_lines(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "x.nrrd", voxels=b"")
    head = path.read_bytes().replace(b"\n", b"\r\n")
    path.write_bytes(head + VOXELS.tobytes())
    np.testing.assert_array_equal(images.read(path).array.ravel("F"), VOXELS)


@pytest.mark.parametrize("skipped", [0, 5])
def test_bytes_before_the_voxels(tmp_path: Path, skipped: int) -> None:
    for encoding in ("raw", "gzip"):
        content = bytes(skipped) + VOXELS.tobytes()
        stored = gzip.compress(content, mtime=0) if encoding == "gzip" else content
        line = f"byte skip: {skipped}"
        path = nrrd(tmp_path / "x.nrrd", line, voxels=stored, encoding=encoding)
        np.testing.assert_array_equal(images.read(path).array.ravel("F"), VOXELS)
        path = nrrd(tmp_path / "x.nhdr", line, "data file: y.b", voxels=b"", encoding=encoding)
        (tmp_path / "y.b").write_bytes(stored)
        np.testing.assert_array_equal(images.read(path).array.ravel("F"), VOXELS)


def test_raw_voxels_that_look_like_gzip(tmp_path: Path) -> None:
    content = b"\x1f\x8b\x08" + bytes(45)
    path = nrrd(tmp_path / "x.nrrd", voxels=content)
    assert images.read(path).array.tobytes("F") == content


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../x.raw", "only a file beside it"),
        ("/etc/passwd", "only a file beside it"),
        ("LIST", "in several files"),
        ("x%03d.raw 1 3 1", "in several files"),
        ("other.raw", "is not a file beside it"),
    ],
)
def test_voxels_elsewhere(tmp_path: Path, name: str, why: str) -> None:
    path = nrrd(tmp_path / "x.nhdr", f"data file: {name}")
    with pytest.raises(InputError, match=rf"^x\.nhdr .*{why}"):
        images.read(path)


NONE_FIRST = "space directions: none (1,0,0) (0,1,0) (0,0,1)"


@pytest.mark.parametrize(
    ("changed", "lines", "why"),
    [
        ({"type": "block"}, (), "type 'block'"),
        ({"endian": ""}, (), "order its bytes"),
        ({"encoding": "hex"}, (), "encoded as 'hex'"),
        ({"encoding": "bzip2"}, (), "encoded as 'bzip2'"),
        ({"encoding": "gzip"}, ("byte skip: -1",), "byte skip of -1"),
        ({}, ("byte skip: -2",), "byte skip of -2"),
        ({}, ("line skip: 2",), "skips lines"),
        ({"sizes": "4 3"}, (), "expected 3 numbers"),
        ({"dimension": "1e6", "sizes": "1 " * 10**6}, (), "claims 1000000 axes"),
        ({"sizes": "4 0 2"}, (), "no voxels"),
        ({"sizes": "400 300 200"}, (), "cannot hold them"),
        ({"sizes": "40000 30000 20000"}, (), "at most 536870912"),
        ({"dimension": "5", "sizes": "4 3 2 1 1"}, (), "5 axes; expected 2 to 4"),
        ({"dimension": "4", "sizes": "3 4 3 2"}, (NONE_FIRST,), "3 values per voxel"),
        (
            {"dimension": "4", "sizes": "3 4 3 2"},
            ("kinds: RGB-color domain domain domain", "spacings: nan 1 1 1"),
            r"3 values per voxel \(RGB-color\)",
        ),
        ({}, ("space directions: (1,0,0) (0,1,0)",), "for 3 axes"),
        ({}, ("space directions: (1,0,0) (0,1,0) (0,0,0)",), "a size of 1 x 1 x 0"),
        ({}, ("space directions: (1,0,0) (1,0,0) (0,0,1)",), "singular"),
        ({}, ("space directions: (1) (2) (3)",), "a space of 1 dimensions"),
        ({}, ("space directions: (1,0,0,1) (0,1,0,0) (0,0,1,0)",), "a space of 4 dimensions"),
        ({}, ("space directions: (a,0,0) (0,1,0) (0,0,1)",), "expected numbers"),
        ({}, ("spacings: 1 2",), "2 spacings for 3 axes"),
        ({}, ("space origin: (1,2,x)",), "expected numbers"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, changed: dict[str, str], lines: tuple[str, ...], why: str
) -> None:
    path = nrrd(tmp_path / "x.nrrd", *lines, voxels=bytes(144), **changed)
    with pytest.raises(InputError, match=rf"^x\.nrrd .*{why}"):
        images.read(path)


def test_a_slice_in_space(tmp_path: Path) -> None:
    lines = ("space: RAS", "space directions: (0,2,0) (0,0,3)", "space origin: (7,8,9)")
    path = nrrd(tmp_path / "x.nrrd", *lines, dimension="2", sizes="4 6")
    array, geometry, _ = images.read(path)
    assert (array.shape, geometry.ndim) == ((4, 6, 1), 2)
    expected = [[0, 0, 1, 7], [2, 0, 0, 8], [0, 3, 0, 9], [0, 0, 0, 1]]
    np.testing.assert_allclose(geometry.affine, expected)


def test_volumes_along_the_fourth_axis(tmp_path: Path) -> None:
    lines = ("space: RAS", "space directions: (1,0,0) (0,1,0) (0,0,1) none")
    for kinds in ("", "kinds: domain domain domain list"):
        path = nrrd(tmp_path / "x.nrrd", *lines, kinds, dimension="4", sizes="4 3 1 2")
        assert len(images.read_channels(path).arrays) == 2


@pytest.mark.parametrize("line", [b"a: b\n", b" ", b"(", b"space directions: (((\n"])
def test_a_header_without_an_end_is_left_soon(tmp_path: Path, line: bytes) -> None:
    began = time.process_time()
    for count in (2**16, 2**23):
        (tmp_path / "x.nrrd").write_bytes(b"NRRD0004\n" + line * (count // len(line)))
        with pytest.raises(InputError, match=r"^x\.nrrd "):
            images.read(tmp_path / "x.nrrd")
    assert time.process_time() - began < 2
