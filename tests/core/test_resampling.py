"""Slices at the pixel size of the training, and probabilities back."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mriseg.core.resampling import MAX_RATIO, Resampling, differs, plan, spacing_of
from mriseg.core.volume import MAX_SIDE, Geometry
from tests.strategies import ORIENTATIONS, Orientation, geometries, orientations, rotations

LPS = next(item for item in ORIENTATIONS if item.codes == "LPS")
SIZES = st.floats(0.2, 6)


def grid(y: float, x: float, orientation: Orientation = LPS, unit: str = "mm") -> Geometry:
    """A geometry whose canonical pixels are ``y`` times ``x``, with slices 7.5 apart."""
    world = {0: x, 1: y, 2: 7.5}
    spacing = [world[axis] for axis in orientation.world]
    return orientation.geometry((4, 5, 6), orientation.affine(spacing), unit)


def ellipse(shape: tuple[int, int], spacing: tuple[float, float]) -> np.ndarray:
    """A lesion of 30 x 20 mm on a smooth ground, by its physical place within a field of view."""
    y, x = (
        (np.arange(n) + 0.5) * size - n * size / 2 for n, size in zip(shape, spacing, strict=True)
    )
    inside = (y[:, None] - 9) ** 2 / 15**2 + (x[None] + 13) ** 2 / 10**2
    return (1 / (1 + np.exp((8 * (inside - 1)).clip(-50, 50)))).astype(np.float32)


@given(geometries(), SIZES, SIZES)
def test_only_pixels_that_differ_by_more_than_a_fifth_are_resampled(
    geometry: Geometry, y: float, x: float
) -> None:
    ratios = [a / b for a, b in zip(geometry.spacing[1:], (y, x), strict=True)]
    off = max(max(ratio, 1 / ratio) for ratio in ratios)
    assume(abs(off - MAX_RATIO) > 0.01)
    resampled, notice = plan((200, 180), geometry, (y, x))
    assert bool(notice) == (off > MAX_RATIO)
    if resampled is not None:
        # The field of view stays: to half a pixel of the network's on each axis.
        for own, given_, ratio in zip((200, 180), resampled.network, ratios, strict=True):
            assert abs(own * ratio - given_) <= 0.5
        assert resampled.own == (200, 180)


@pytest.mark.parametrize(("size", "apart"), [(1.2, False), (1.21, True), (0.83, True)])
def test_a_fifth_itself_is_not_resampled(size: float, apart: bool) -> None:
    # As float32 of a header has it.
    stored = float(np.float32(size))
    assert differs((stored, 1.0), (1.0, 1.0)) == apart == differs((1.0, stored), (1.0, 1.0))
    assert differs((1.0, 1.0), (stored, 1.0)) == apart


@given(orientations(), st.one_of(st.none(), rotations()))
def test_the_axes_are_those_of_the_slice_however_the_file_runs(
    orientation: Orientation, rotation: np.ndarray | None
) -> None:
    straight = grid(2.0, 0.5, orientation)
    matrix = np.asarray(straight.affine)
    if rotation is not None:
        matrix[:3, :3] = rotation @ matrix[:3, :3]
    turned = replace(straight, affine=tuple(map(tuple, matrix.tolist())))
    resampled, notice = plan((100, 120), turned, (1.0, 1.0))
    assert resampled == Resampling((100, 120), (200, 60))
    assert notice == (
        "its voxels are 2 x 0.5 mm in plane and the model was trained at 1 x 1 mm: resampled for "
        "the network"
    )


def test_without_a_size_on_either_side_nothing_is_resampled() -> None:
    assert plan((90, 90), grid(3, 3), None) == (None, "")
    assert plan((90, 90), grid(3, 3, unit="px"), (1.0, 1.0)) == (None, "")


@pytest.mark.parametrize("size", [1e-6, 0.05, 1000.0, math.inf])
def test_a_size_that_no_head_has_is_reported_and_fills_no_memory(size: float) -> None:
    wrong = replace(grid(1, 1), affine=((size, 0, 0, 0), (0, size, 0, 0), (0, 0, 1, 0), (0,) * 4))
    resampled, notice = plan((200, 180), wrong, (1.0, 1.0))
    assert resampled is None
    assert "not resampled; check the voxel size in its header" in notice
    largest = plan((200, 100), replace(wrong, affine=grid(20, 20).affine), (1.0, 1.0))[0]
    assert largest is not None and max(largest.network) <= MAX_SIDE


@pytest.mark.parametrize("size", [(0.5, 0.5), (2.0, 2.0), (0.7, 1.5), (1.4, 0.4)])
def test_what_is_resampled_stays_in_its_place(size: tuple[float, float]) -> None:
    shape = tuple(round(160 / side) for side in size)
    own = ellipse((shape[0], shape[1]), size)
    resampled, _ = plan(own.shape, grid(*size), (1.0, 1.0))
    assert resampled is not None and resampled.network == (160, 160)
    given_ = resampled.to_network(own[None])
    assert given_.shape == (1, 160, 160) and given_.dtype == np.float32
    assert np.abs(given_[0] - ellipse((160, 160), (1, 1))).max() < 0.12
    back = resampled.to_own(ellipse((160, 160), (1, 1))[None])[0]
    assert back.shape == own.shape
    both = ((back > 0.5) & (own > 0.5)).sum()
    assert 2 * both / ((back > 0.5).sum() + (own > 0.5).sum()) > 0.97


def test_shrinking_does_not_alias() -> None:
    stripes = np.tile(np.float16([-1, 1]), (3, 128, 64))
    shrunk = Resampling((128, 128), (40, 40)).to_network(stripes)
    assert shrunk.shape == (3, 40, 40) and np.abs(shrunk[:, 2:-2, 2:-2]).max() < 0.05


@given(st.integers(0, 100))
def test_probabilities_stay_probabilities(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sharp = rng.integers(0, 2, (2, 1, 33, 40)).astype(np.float32)
    own = Resampling((71, 29), (33, 40)).to_own(sharp)
    assert own.shape == (2, 1, 71, 29) and own.min() >= 0 and own.max() <= 1
    ones = Resampling((71, 29), (33, 40)).to_own(np.ones_like(sharp))
    np.testing.assert_allclose(ones, 1, atol=1e-6)


def test_the_training_size_is_the_median_of_what_is_stated() -> None:
    none = grid(1, 1, unit="px")
    assert spacing_of([none, none]) is None and spacing_of([]) is None
    some = [none, grid(1, 0.9), grid(1, 0.9), grid(3, 3)]
    assert spacing_of(some) == pytest.approx((1, 0.9))
    unreal = replace(none, unit="mm", affine=((0, 0, 0, 0),) * 4)
    assert spacing_of([unreal]) is None
