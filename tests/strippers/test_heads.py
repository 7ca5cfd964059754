"""Scans are turned upright and masks back, and what holds no head is refused."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mriseg.core.orientation import geometry_of
from mriseg.core.volume import Geometry
from mriseg.errors import InputError
from mriseg.strippers.heads import as_given, upright

SHAPE = (9, 11, 13)
SIZES = (12.0, 9.0, 8.0)
ORIENTATIONS = [
    (order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
]


def placed(
    ras: NDArray[Any], order: tuple[int, ...], signs: tuple[int, ...]
) -> tuple[NDArray[Any], Geometry]:
    """A RAS+ array [x, y, z] with its axes in ``order``, reversed where the sign is -1."""
    array = ras.transpose(order)
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * SIZES[world]
        if sign < 0:
            array = np.flip(array, axis)
            affine[world, 3] = SIZES[world] * (array.shape[axis] - 1)
    return array, geometry_of(array.shape, affine)


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_any_orientation_is_turned_upright_and_back(
    order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    ras = np.random.default_rng(0).normal(size=SHAPE)
    array, geometry = placed(ras, order, signs)
    scan = upright(array, geometry)
    assert scan.flags.c_contiguous and scan.dtype == np.float32
    assert np.array_equal(scan, ras.astype(np.float32))
    brain = np.zeros(SHAPE, dtype=bool)
    brain[2:7, 3:6, 1:12] = True
    assert np.array_equal(as_given(brain, geometry), placed(brain, order, signs)[0])


def test_the_largest_part_counts_and_is_filled() -> None:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:6, 1:6, 1:6] = True
    expected = mask.copy()
    mask[3, 3, 3] = False
    mask[7:, 9:, 11:] = True
    _, geometry = placed(mask, (0, 1, 2), (1, 1, 1))
    assert np.array_equal(as_given(mask, geometry), expected)


def test_a_mask_of_nothing_is_no_brain() -> None:
    _, geometry = placed(np.zeros(SHAPE), (0, 1, 2), (1, 1, 1))
    mask = np.zeros(SHAPE, dtype=bool)
    with pytest.raises(InputError, match="no brain is visible"):
        as_given(mask, geometry)
    mask[4, 4, 4] = True
    with pytest.raises(InputError, match="no brain is visible"):
        as_given(mask, geometry)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.nan, "not finite"),
        (np.inf, "not finite"),
        (1e300, "beyond float32"),
        (None, "all voxels of the scan are 3"),
    ],
)
def test_values_that_show_nothing_are_refused(value: float | None, message: str) -> None:
    image = np.full(SHAPE, 3.0)
    if value is not None:
        image[4, 4, 4] = value
    with pytest.raises(InputError, match=message):
        upright(*placed(image, (0, 1, 2), (1, 1, 1)))


@pytest.mark.parametrize(
    ("shape", "size", "message"),
    [
        ((1, 256, 256), 1.0, "in 1 x 256 x 256 voxels: expected a volume"),
        ((7, 256, 256), 9.0, "at least 8 along each axis"),
        ((35, 50, 35), 1.0, "a scan of 35 x 50 x 35 mm holds no head"),
    ],
)
def test_what_is_too_small_for_a_head_is_refused(
    shape: tuple[int, int, int], size: float, message: str
) -> None:
    image = np.random.default_rng(0).normal(size=shape)
    with pytest.raises(InputError, match=message):
        upright(image, geometry_of(shape, np.diag([size, size, size, 1])))


def test_without_a_voxel_size_only_the_voxels_count() -> None:
    image = np.random.default_rng(0).normal(size=(35, 50, 35))
    assert upright(image, geometry_of(image.shape, np.eye(4), unit="px")).shape == image.shape
    flat = np.zeros((20, 20, 1))
    with pytest.raises(InputError, match="a volume"):
        upright(flat, geometry_of(flat.shape, np.eye(4), ndim=2))
