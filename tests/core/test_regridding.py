"""Volumes on other grids: what they cover in mm, their background, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mriseg.core.orientation import geometry_of
from mriseg.core.regridding import (
    STILL,
    background,
    covered,
    index_map,
    labels_regridded,
    regridded,
)
from mriseg.core.volume import Affine, Geometry
from tests import strategies

SIDE = 48.0  # mm of each axis of every grid below


def grid_of(
    orientation: strategies.Orientation, spacing: tuple[float, ...], turn: float = 0
) -> Geometry:
    """A grid around the world's origin, with voxels of these sizes along its own axes."""
    counts = [max(2, round(SIDE / size)) for size in spacing]
    rotation = Rotation.from_euler("z", turn, degrees=True).as_matrix()
    affine = np.array(orientation.affine(spacing, rotation=rotation))
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(counts) - 1) / 2)
    i, j, k = counts
    return geometry_of((i, j, k), affine)


def places(grid: Geometry) -> NDArray[np.float64]:
    """World coordinates [i, j, k, 3] of the middle of each voxel."""
    affine = np.asarray(grid.affine)
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
    return np.asarray(index @ affine[:3, :3].T + affine[:3, 3])


def box(grid: Geometry) -> NDArray[np.uint8]:
    """1 within 12 mm of the origin along each axis of the world."""
    inside: NDArray[np.uint8] = (np.abs(places(grid)) < 12).all(axis=-1).astype(np.uint8)
    return inside


def rigid(turn: tuple[float, float, float], shift: tuple[float, float, float]) -> Affine:
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    matrix[:3, 3] = shift
    return tuple(tuple(map(float, row)) for row in matrix)


spacings = st.tuples(*[st.sampled_from([0.8, 1.0, 1.5, 3.0])] * 3)
turns = st.sampled_from([0.0, 7.0, -20.0])


@given(strategies.orientations(), strategies.orientations(), spacings, spacings, turns)
def test_a_box_covers_the_same_mm_on_any_grid(
    one: Any, other: Any, size: Any, other_size: Any, turn: float
) -> None:
    own, grid = grid_of(one, size), grid_of(other, other_size, turn)
    moved = labels_regridded(box(own), own, grid)
    # A voxel's centre is in the nearest voxel of the other grid, whose centre is at most half a
    # diagonal away; so only voxels that near to the box's faces may differ.
    near = np.abs(np.abs(places(grid)).max(axis=-1) - 12) <= np.linalg.norm(size) / 2 + 1e-6
    np.testing.assert_array_equal(moved[~near], box(grid)[~near])
    assert set(np.unique(moved)) <= {0, 1}


@given(strategies.orientations(), turns, st.floats(-8, 8), st.floats(-6, 6))
def test_a_mask_comes_back_by_the_inverse(one: Any, turn: float, tilt: float, shift: float) -> None:
    own, grid = grid_of(one, (1.5, 1.5, 1.5)), grid_of(one, (1.0, 1.0, 1.0), turn)
    motion = rigid((tilt, -tilt, tilt / 2), (shift, 0, -shift))
    inverse = tuple(tuple(map(float, row)) for row in np.linalg.inv(np.array(motion)))
    there_and_back = labels_regridded(
        labels_regridded(box(own), own, grid, motion), grid, own, inverse
    )
    differing = np.argwhere(there_and_back != box(own))
    faces = np.abs(np.abs(places(own)).max(axis=-1) - 12)
    assert all(faces[tuple(index)] <= 2.2 for index in differing)
    assert there_and_back.sum() == pytest.approx(box(own).sum(), rel=0.1)


@settings(max_examples=20)
@given(strategies.orientations(), strategies.orientations())
def test_a_grid_that_is_only_turned_gives_the_same_voxels(one: Any, other: Any) -> None:
    own = grid_of(one, (2.0, 2.0, 2.0))
    grid = grid_of(other, (2.0, 2.0, 2.0))
    array = np.random.default_rng(0).normal(size=own.shape)
    moved = regridded(array, own, grid)
    back = regridded(moved, grid, own)
    np.testing.assert_allclose(back, array, atol=1e-4)
    assert sorted(moved.ravel().tolist()) == pytest.approx(sorted(array.ravel()), abs=1e-4)


@settings(max_examples=20)
@given(st.floats(-3, 3, width=32), turns)
def test_a_set_background_stays_one_value(value: float, turn: float) -> None:
    one = strategies.ORIENTATIONS[0]
    own, grid = grid_of(one, (1.0, 1.0, 1.0)), grid_of(one, (1.0, 1.0, 4.0), turn)
    array = np.where(box(own) > 0, 5.0, value).astype(np.float32)
    assert background(array) == np.float32(value)
    moved = regridded(array, own, grid)
    far = np.abs(places(grid)).max(axis=-1) > 20
    assert far.any()
    assert np.unique(moved[far]).tolist() == [np.float32(value)]


def test_thick_slices_are_means_and_not_samples() -> None:
    one = strategies.ORIENTATIONS[0]
    own, thick = grid_of(one, (1.0, 1.0, 1.0)), grid_of(one, (1.0, 1.0, 6.0))
    stripes = np.zeros(own.shape, np.float32)
    stripes[:, :, ::2] = 1
    moved = regridded(stripes, own, thick)
    assert moved[24, 24, 2:-2] == pytest.approx(0.5, abs=0.01)
    # A linear course is not changed by it.
    ramp = np.broadcast_to(np.arange(own.shape[2], dtype=np.float32), own.shape)
    expected = index_map(thick, own)[2] @ np.array([24, 24, 4, 1])
    assert regridded(ramp, own, thick)[24, 24, 4] == pytest.approx(expected, abs=0.02)


def test_how_much_of_a_grid_another_covers() -> None:
    one = strategies.ORIENTATIONS[0]
    grid = grid_of(one, (1.0, 1.0, 1.0))
    assert covered(grid, grid) == 1
    assert covered(grid, grid, rigid((0, 0, 0), (SIDE / 2, 0, 0))) == pytest.approx(0.5)
    assert covered(grid, grid, rigid((0, 0, 0), (SIDE + 1, 0, 0))) == 0
    assert index_map(grid, grid) == pytest.approx(np.array(STILL))


def test_beyond_the_field_of_view_there_is_background_and_no_label() -> None:
    one = strategies.ORIENTATIONS[0]
    own = grid_of(one, (1.0, 1.0, 1.0))
    away = rigid((0, 0, 0), (SIDE - 6, 0, 0))
    array = np.full(own.shape, 7, np.float32)
    array[:: own.shape[0] - 1, :: own.shape[1] - 1, :: own.shape[2] - 1] = 2
    assert np.count_nonzero(regridded(array, own, own, away) == 2) > 0.8 * array.size
    assert np.count_nonzero(labels_regridded(array, own, own, away)) < 0.2 * array.size
