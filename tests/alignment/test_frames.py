"""Frames lie where their scans do, and SimpleITK places their voxels where NIfTI does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mriseg.alignment.frames import as_image, frame, in_ras, without_air
from mriseg.core.orientation import geometry_of
from mriseg.core.volume import Geometry
from tests import strategies
from tests.core.test_regridding import SIDE, box, grid_of, places, rigid

sizes = st.sampled_from([0.8, 2.0, 4.0])


def middle(array: Any, grid: Geometry) -> Any:
    """The centre of mass in mm."""
    return (places(grid) * array[..., None]).sum(axis=(0, 1, 2)) / array.sum()


@settings(max_examples=15)
@given(strategies.orientations(), sizes, st.sampled_from([0.0, 11.0]))
def test_a_frame_lies_where_its_scan_does(one: Any, size: float, turn: float) -> None:
    own = grid_of(one, (1.5, 1.5, 3.0), turn)
    coarse = frame(box(own).astype(np.float32), own, size)
    assert coarse.array.shape == coarse.geometry.shape
    assert min(coarse.geometry.own_spacing) >= size - 1e-6
    extent = np.array(coarse.geometry.shape) * coarse.geometry.own_spacing
    assert extent == pytest.approx(np.full(3, SIDE), abs=4.0)
    assert middle(coarse.array, coarse.geometry) == pytest.approx(np.zeros(3), abs=0.3)
    volume = coarse.array.sum() * coarse.geometry.voxel_volume
    assert volume == pytest.approx(box(own).sum() * own.voxel_volume, rel=0.1)


@settings(max_examples=15)
@given(strategies.orientations(), st.sampled_from([0.0, 11.0]))
def test_simpleitk_places_voxels_where_nifti_does(one: Any, turn: float) -> None:
    own = grid_of(one, (1.0, 2.0, 3.0), turn)
    image = as_image(np.arange(np.prod(own.shape), dtype=np.float32).reshape(own.shape), own)
    index = (3, 5, 2)
    lps = np.array(image.TransformIndexToPhysicalPoint(index))
    assert lps * (-1, -1, 1) == pytest.approx(places(own)[index], abs=1e-4)
    assert image.GetPixel(index) == np.ravel_multi_index(index, own.shape)


def test_a_sheared_scan_gets_axes_at_right_angles() -> None:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[0, 1] = 0.4
    affine[:3, 3] = -affine[:3, :3] @ np.full(3, 11.5)
    own = geometry_of((24, 24, 24), affine)
    coarse = frame(box(own).astype(np.float32), own, 2.0)
    columns = np.array(coarse.geometry.affine)[:3, :3]
    gram = columns.T @ columns
    assert gram == pytest.approx(np.diag(np.diag(gram)), abs=1e-6)
    as_image(coarse.array, coarse.geometry)
    assert middle(coarse.array, coarse.geometry) == pytest.approx(np.zeros(3), abs=0.3)


def test_the_head_has_a_rim_that_counts_and_nothing_is_all() -> None:
    own = grid_of(strategies.ORIENTATIONS[0], (2.0, 2.0, 2.0))
    coarse = frame(box(own).astype(np.float32) * 100, own, 2.0)
    assert coarse.head.sum() == box(own).sum()
    rim = np.abs(places(own)[coarse.around]).max()
    assert 12 < rim <= 12 + 6 + 2
    assert frame(np.ones(own.shape, np.float32), own, 2.0).head.all()


def test_few_bright_voxels_do_not_fill_a_histogram() -> None:
    values = np.random.default_rng(0).uniform(1, 2, (20, 20, 20)).astype(np.float32)
    values[:, :, ::19] = 1  # The background, at the corners.
    values[10, 10, 10] = 1e6
    cut = without_air(values)
    assert cut.max() < 1.01 and cut.min() == 0


def test_a_motion_of_one_world_in_the_other() -> None:
    motion = np.array(rigid((3, 5, 7), (1, 2, 3)))
    point = np.array([4.0, 5, 6, 1])
    flip = np.array([-1, -1, 1, 1])
    assert in_ras(motion) @ point == pytest.approx(flip * (motion @ (flip * point)))
    assert in_ras(in_ras(motion)) == pytest.approx(motion)
