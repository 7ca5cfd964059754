from __future__ import annotations

import gzip
import time
import zlib
from pathlib import Path

import numpy as np
import pytest

from mriseg.errors import InputError
from mriseg.io import images
from tests.io.images.written import metaimage, positions, voxels

VOXELS = np.arange(24, dtype="<i2")
CORNERS = np.array([(0.0, 0, 0), (3, 0, 0), (0, 2, 0), (0, 0, 1)])


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("ElementSize = 2 3 4",),
        ("ElementSize = 2 3 4", "ElementSpacing = 1 2 3"),
        ("ElementSpacing = 1 2 3\r",),
        ("ElementSpacing : 1 2 3",),
        ("Origin = 1 2 3",),
        ("Position = 1 2 3", "Orientation = 0 1 0 -1 0 0 0 0 1"),
        ("Offset = 1 2 3", "TransformMatrix = 0 0 1 1 0 0 0 1 0"),
        ("Comment = ElementDataFile is the last one", "AnatomicalOrientation = RAS"),
        ("HeaderSize = 0", "ElementToIntensityFunctionSlope = 1"),
    ],
)
def test_a_header_means_what_it_means_to_itk(tmp_path: Path, lines: tuple[str, ...]) -> None:
    path = metaimage(tmp_path / "x.mha", *lines, voxels=VOXELS.tobytes())
    array, geometry, _ = images.read(path)
    np.testing.assert_array_equal(array, voxels(path))
    affine = np.asarray(geometry.affine)
    seen = CORNERS @ affine[:3, :3].T + affine[:3, 3]
    np.testing.assert_allclose(seen, positions(path, CORNERS), atol=1e-6)


def test_lengths_are_in_mm(tmp_path: Path) -> None:
    path = metaimage(
        tmp_path / "x.mha", "DistanceUnits = cm", "ElementSpacing = 1 2 3", "Offset = 1 2 3"
    )
    expected = [[-10, 0, 0, -10], [0, -20, 0, -20], [0, 0, 30, 30], [0, 0, 0, 1]]
    np.testing.assert_allclose(images.read(path).geometry.affine, expected)


def test_bytes_in_the_other_order(tmp_path: Path) -> None:
    lines = ("ElementByteOrderMSB = True",)
    path = metaimage(tmp_path / "x.mha", *lines, voxels=VOXELS.astype(">i2").tobytes())
    np.testing.assert_array_equal(images.read(path).array.ravel("F"), VOXELS)


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress])
def test_either_form_of_deflate(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    path = metaimage(tmp_path / "x.mha", "CompressedData = True", voxels=pack(VOXELS.tobytes()))
    np.testing.assert_array_equal(images.read(path).array.ravel("F"), VOXELS)


@pytest.mark.parametrize("damage", ["cut", "flip", "checksum"])
def test_a_damaged_stream_is_not_read_in_silence(tmp_path: Path, damage: str) -> None:
    """ITK gives back the voxels of some of these, and prints to stderr."""
    noise = np.random.default_rng(0).integers(0, 99, 6000).astype("<i2").tobytes()
    packed = bytearray(zlib.compress(noise))
    if damage == "cut":
        packed = packed[:-3]
    else:
        packed[-1 if damage == "checksum" else len(packed) // 2] ^= 1
    lines = ("CompressedData = True", f"CompressedDataSize = {len(packed)}")
    path = metaimage(tmp_path / "x.mha", *lines, voxels=bytes(packed), shape="30 20 10")
    with pytest.raises(InputError, match=r"^x\.mha is (truncated|a damaged zlib file)"):
        images.read(path)


class TestVoxelsInAnotherFile:
    @pytest.mark.parametrize(
        ("skipped", "content"),
        [
            ("0", VOXELS.tobytes()),
            ("7", bytes(7) + VOXELS.tobytes()),
            ("-1", bytes(9) + VOXELS.tobytes()),
        ],
    )
    @pytest.mark.parametrize("name", ["x.raw", "./x.raw", "a b.bin"])
    def test_beside_it(self, tmp_path: Path, name: str, skipped: str, content: bytes) -> None:
        lines = (f"HeaderSize = {skipped}", f"ElementDataFile = {name}")
        path = metaimage(tmp_path / "x.mhd", *lines, voxels=b"")
        (tmp_path / name).write_bytes(content)
        np.testing.assert_array_equal(images.read(path).array.ravel("F"), VOXELS)

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("../secret.raw", "only a file beside it"),
            ("/etc/passwd", "only a file beside it"),
            ("a\\b.raw", "only a file beside it"),
            ("C:x.raw", "only a file beside it"),
            ("..", "only a file beside it"),
            ("LIST", "in several files"),
            ("slice%03d.raw 1 155 1", "in several files"),
            ("other.raw", "is not a file beside it"),
            ("folder", "is not a file beside it"),
            ("x" * 300, "is not a file beside it"),
        ],
    )
    def test_nowhere_else(self, tmp_path: Path, name: str, why: str) -> None:
        (tmp_path / "secret.raw").write_bytes(bytes(48))
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "folder").mkdir()
        path = metaimage(tmp_path / "in" / "x.mhd", f"ElementDataFile = {name}", voxels=b"")
        with pytest.raises(InputError, match=rf"^x\.mhd .*{why}"):
            images.read(path)

    def test_that_is_too_short(self, tmp_path: Path) -> None:
        (tmp_path / "x.raw").write_bytes(bytes(40))
        for skipped in (0, -1):
            lines = (f"HeaderSize = {skipped}", "ElementDataFile = x.raw")
            path = metaimage(tmp_path / "x.mhd", *lines, voxels=b"")
            with pytest.raises(InputError, match=r"^x\.raw is truncated .* x\.mhd's header"):
                images.read(path)


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("ElementNumberOfChannels = 3",), "3 values per voxel"),
        (("ElementType = MET_UCHAR_ARRAY",), "type 'MET_UCHAR_ARRAY'"),
        (("BinaryData = False",), "as text"),
        (("ElementToIntensityFunctionSlope = 2",), "a scale"),
        (("DimSize = 4 3",), "expected 3 numbers"),
        (("DimSize = " + "1 " * 10**6,), "expected 3 numbers"),
        (("DimSize = 4 0 2",), "no voxels"),
        (("DimSize = 4 -3 2",), "no voxels"),
        (("DimSize = 4 3 two",), "expected 3 numbers"),
        (("DimSize = 4 3 1.5",), "expected whole numbers"),
        (("DimSize = 4 3 1e300",), "expected whole numbers"),
        (("DimSize = 40000 30000 20000",), "at most 536870912"),
        (("DimSize = 400 300 200",), "cannot hold them"),
        (("NDims = 5", "DimSize = 4 3 2 1 1"), "5 axes; expected 2 to 4"),
        (("ElementSpacing = 1 1 0",), "a size of 1 x 1 x 0"),
        (("ElementSpacing = 1 1 nan",), "expected 3 numbers"),
        (("TransformMatrix = 1 0 0 1 0 0 0 0 1",), "singular"),
        (("TransformMatrix = 1 0 0 1",), "expected 9 numbers"),
        (("HeaderSize = 20",), "HeaderSize of 20"),
        (("Offset = " + "9" * 5000,), "states Offset"),
    ],
)
def test_what_is_refused(tmp_path: Path, lines: tuple[str, ...], why: str) -> None:
    with pytest.raises(InputError, match=rf"^x\.mha .*{why}") as caught:
        images.read(metaimage(tmp_path / "x.mha", *lines))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("line", [b"ObjectType = Image\n", b"\n", b" ", b"ElementDataFile", b"x"])
def test_a_header_without_an_end_is_left_soon(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "x.mha").write_bytes(line * (2**23 // len(line)))
    began = time.process_time()
    with pytest.raises(InputError, match="a header that does not end"):
        images.read(tmp_path / "x.mha")
    assert time.process_time() - began < 2
