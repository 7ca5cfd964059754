from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mriseg.core.orientation import geometry_of
from mriseg.errors import InputError
from mriseg.io import voxels
from mriseg.io.voxels import ImageHeader

ARRAY = np.arange(24, dtype="<i2").reshape(4, 3, 2, order="F")


@pytest.fixture
def header(tmp_path: Path) -> ImageHeader:
    path = tmp_path / "x.bin"
    path.write_bytes(b"head" + ARRAY.tobytes("F"))
    grid = geometry_of((4, 3, 2), np.eye(4))
    return ImageHeader(path, path, (4, 3, 2), ARRAY.dtype, grid, start=4)


def test_voxels_are_read_where_they_lie(header: ImageHeader) -> None:
    np.testing.assert_array_equal(voxels.read(header), ARRAY)
    assert voxels.read(header).dtype == np.int16
    moved = replace(header, start=2, offset=2)
    np.testing.assert_array_equal(voxels.read(moved), ARRAY)
    header.data.write_bytes(b"head" + gzip.compress(bytes(9) + ARRAY.tobytes("F"), mtime=0))
    np.testing.assert_array_equal(voxels.read(replace(header, packing="gzip", offset=9)), ARRAY)


def test_a_scale_is_applied(header: ImageHeader) -> None:
    scaled = voxels.read(replace(header, slope=0.5, inter=1.0))
    np.testing.assert_array_equal(scaled, ARRAY * 0.5 + 1)
    assert scaled.dtype == np.float32


def test_an_image_in_two_files(header: ImageHeader) -> None:
    other = replace(header, path=header.data.with_name("y.hdr"))
    assert other.files == (other.path, other.data)
    assert header.files == (header.path,)
    header.data.write_bytes(bytes(20))
    with pytest.raises(InputError, match=r"^x\.bin is truncated .* y\.hdr's header promises"):
        voxels.read(other)


def test_no_memory_is_taken_for_what_cannot_be(header: ImageHeader) -> None:
    with pytest.raises(InputError, match="at most 23 are read"):
        voxels.read(header, 23)
    with pytest.raises(InputError, match="cannot hold them"):
        voxels.check_size(replace(header, shape=(400, 300, 200)))
    header.data.unlink()
    with pytest.raises(InputError, match=r"^x\.bin cannot be read"):
        voxels.read(header)


def test_shapes() -> None:
    assert voxels.volume_shape("x", (3, 4)) == (3, 4, 1)
    assert voxels.volume_shape("x", (3, 4, 5)) == (3, 4, 5)
    assert voxels.volume_shape("x", (3, 4, 5, 1)) == (3, 4, 5)
    assert voxels.volume_shape("x", (3, 4, 5, 2)) == (3, 4, 5, 2)
    for stated, why in (((3,), "1 axes"), ((1,) * 5, "5 axes"), ((3, 0), "no voxels")):
        with pytest.raises(InputError, match=f"^x .*{why}"):
            voxels.volume_shape("x", stated)


def test_a_grid_that_cannot_be() -> None:
    with pytest.raises(InputError, match="^x has an affine that is singular"):
        voxels.grid(
            "x", (3, 4, 5), np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0]] + [[0] * 4])
        )


def test_voxels_that_are_no_numbers_are_counted() -> None:
    assert voxels.count_non_finite(ARRAY) == 0
    assert voxels.count_non_finite(np.array([1.0, np.nan, np.inf, -np.inf])) == 3
