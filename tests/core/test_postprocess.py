"""Threshold and the removal of small components."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mriseg.core.postprocess import components_of, remove_minor_components, remove_small, threshold
from mriseg.errors import ConfigError

modest = settings(deadline=None, max_examples=60)
masks = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=3, max_dims=4, max_side=5), elements=st.integers(0, 1)
)


def flood(mask: NDArray[np.uint8], minimum: int) -> NDArray[np.uint8]:
    """What `remove_small` should give for one region, by walking from voxel to voxel."""
    left = set(map(tuple, np.argwhere(mask).tolist()))
    kept = np.zeros_like(mask)
    steps = [np.array(s) - 1 for s in np.ndindex(3, 3, 3)]
    while left:
        component, edge = set(), [left.pop()]
        while edge:
            voxel = edge.pop()
            component.add(voxel)
            near = {tuple((np.array(voxel) + step).tolist()) for step in steps} & left
            left -= near
            edge.extend(near)
        if len(component) >= minimum:
            kept[tuple(np.array(sorted(component)).T)] = 1
    return kept


@modest
@given(masks, st.integers(0, 8))
def test_it_drops_exactly_the_components_that_are_too_small(
    mask: NDArray[np.uint8], minimum: int
) -> None:
    before = mask.copy()
    kept = remove_small(mask, minimum)
    expected = [flood(region, minimum) for region in mask.reshape(-1, *mask.shape[-3:])]
    assert (kept == np.stack(expected).reshape(mask.shape)).all()
    assert (mask == before).all(), "the argument was changed"
    assert (remove_small(kept, minimum) == kept).all()


def test_voxels_that_touch_by_a_corner_belong_together() -> None:
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[0, 0, 0] = mask[1, 1, 1] = mask[3, 3, 3] = True
    assert remove_small(mask, 2).sum() == 2


def test_a_volume_is_measured_with_the_voxels() -> None:
    mask = np.zeros((1, 3, 3, 9), dtype=np.uint8)
    mask[0, 1, 1, :3] = 1
    assert remove_small(mask, 30.0, voxel_volume=10.0).sum() == 3
    assert remove_small(mask, 30.1, voxel_volume=10.0).sum() == 0


def test_regions_are_processed_separately() -> None:
    mask = np.zeros((2, 1, 1, 4), dtype=np.uint8)
    mask[0, ..., :4] = 1
    mask[1, ..., 0] = 1
    assert remove_small(mask, 2).sum(axis=(1, 2, 3)).tolist() == [4, 0]


@pytest.mark.parametrize("minimum, voxel", [(-1, 1), (float("nan"), 1), (1, 0), (1, -2)])
def test_impossible_volumes_are_refused(minimum: float, voxel: float) -> None:
    with pytest.raises(ConfigError, match="volume"):
        remove_small(np.ones((1, 1, 1)), minimum, voxel)


@modest
@given(hnp.arrays(np.float32, (2, 3, 4), elements=st.floats(0, 1, width=32)), st.floats(0, 0.99))
def test_a_threshold_keeps_what_exceeds_it(
    probabilities: NDArray[np.float32], level: float
) -> None:
    mask = threshold(probabilities, level)
    assert mask.dtype == np.uint8 and mask.shape == probabilities.shape
    assert ((mask == 1) == (probabilities > level)).all()


def test_an_uninformative_network_segments_nothing() -> None:
    assert not threshold(np.full((2, 2), 0.5)).any()


@pytest.mark.parametrize("level", [-0.1, 1.0, float("nan")])
def test_impossible_thresholds_are_refused(level: float) -> None:
    with pytest.raises(ConfigError, match="threshold"):
        threshold(np.zeros(1), level)


@given(st.floats(0, 1), st.integers(0, 2**16))
@settings(max_examples=25, deadline=None)
def test_minor_components_are_those_below_a_share_of_the_largest(share: float, seed: int) -> None:
    mask = (np.random.default_rng(seed).random((2, 6, 9, 9)) > 0.93).astype(np.uint8)
    kept = remove_minor_components(mask, share)
    assert ((kept == 0) | (mask == 1)).all()
    for before, after in zip(mask, kept, strict=True):
        sizes = components_of(before)[1]
        expected = sizes[(sizes > 0) & (sizes >= share * sizes.max())]
        remaining = components_of(after)[1]
        assert sorted(remaining[remaining > 0]) == sorted(expected)
    # Each region has a share of its own.
    assert np.array_equal(remove_minor_components(mask, (share, 0))[1], mask[1])


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_that_is_no_fraction_is_refused(share: float) -> None:
    with pytest.raises(ConfigError, match="from 0 to 1"):
        remove_minor_components(np.zeros((1, 4, 4, 4)), share)
