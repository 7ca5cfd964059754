"""Uncertain voxels are decided by the scan's own intensities, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage, special

from mriseg.core.refine import refine

Array = NDArray[np.float32]
SHAPE = (8, 24, 24)
# Left of 12 is one tissue, right of it another; the head ends before the volume does.
BRIGHT = (slice(2, 6), slice(6, 18), slice(4, 12))


def head(seed: int = 0, channels: int = 2) -> Array:
    rng = np.random.default_rng(seed)
    image = rng.normal(-0.5, 0.3, (channels, *SHAPE))
    image[(-1, *BRIGHT)] += 2
    image[:, :, :2] = 0
    return image.astype(np.float16)


def half_seen(unsure: float = 0.2) -> Array:
    """A network that segments the upper half of what is bright, and is unsure of the lower."""
    probabilities = np.full((1, *SHAPE), 0.01, dtype=np.float32)
    probabilities[(0, *BRIGHT)] = unsure
    probabilities[0, 2:6, 6:12, 4:12] = 0.95
    return probabilities


def dice(mask: NDArray[np.bool_]) -> float:
    truth = np.zeros(SHAPE, dtype=bool)
    truth[BRIGHT] = True
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


def test_what_looks_like_the_segmentation_is_segmented() -> None:
    probabilities = half_seen()
    assert dice(probabilities[0] > 0.5) < 0.7
    assert dice(refine(probabilities, head())[0] > 0.5) > 0.9


def test_what_looks_like_the_rest_is_not() -> None:
    probabilities = half_seen(unsure=0.95)
    wrong = (0, slice(2, 6), slice(6, 18), slice(16, 20))
    probabilities[wrong] = 0.7
    refined = refine(probabilities, head())
    assert (probabilities[wrong] > 0.5).all() and (refined[wrong] > 0.5).mean() < 0.05
    assert dice(refined[0] > 0.5) > 0.9


def test_no_intensity_changes_a_logit_by_more_than_the_limit() -> None:
    probabilities = half_seen(unsure=0.06)
    turned = special.logit(refine(probabilities, head())[0, 3:5, 14:16, 6:10])
    assert turned.min() > 0 and turned.max() < special.logit(0.06) + 0.8 * 6 + 0.1


@pytest.mark.parametrize("extreme", [np.nan, np.inf])
def test_a_voxel_that_is_not_finite_affects_only_itself(extreme: float) -> None:
    image, probabilities = head(), half_seen()
    image[0, 3, 9, 9] = extreme
    refined = refine(probabilities, image)
    assert np.isfinite(refined).all() and dice(refined[0] > 0.5) > 0.9


def test_regions_are_refined_independently() -> None:
    one, other = half_seen(), half_seen()[..., ::-1].copy()
    both = refine(np.concatenate([one, other]), head(), [(1.0, 0.0), (0.5, -1.0)])
    np.testing.assert_array_equal(both[:1], refine(one, head()))
    np.testing.assert_array_equal(both[1:], refine(other, head(), [(0.5, -1.0)]))


def test_the_order_of_channels_does_not_matter() -> None:
    image = head(channels=3)
    forward, reverse = refine(half_seen(), image), refine(half_seen(), image[::-1])
    assert ((forward > 0.5) == (reverse > 0.5)).mean() > 0.995


def test_refining_is_deterministic_and_leaves_its_input_unchanged() -> None:
    probabilities, image = half_seen(), head()
    kept = probabilities.copy(), image.copy()
    state = np.random.get_state()[1].tolist()
    first = refine(probabilities, image)
    assert np.array_equal(first, refine(probabilities, image))
    assert np.array_equal(probabilities, kept[0]) and np.array_equal(image, kept[1])
    assert np.random.get_state()[1].tolist() == state


@pytest.mark.parametrize("level", [0.01, 0.3, 0.99])
def test_with_too_few_voxels_of_either_class_it_only_smooths(level: float) -> None:
    probabilities = np.full((1, *SHAPE), level, dtype=np.float32)
    probabilities[0, 3, 9, 9] = 1 - level
    expected = special.expit(ndimage.gaussian_filter(special.logit(probabilities[0]), 0.7))
    np.testing.assert_allclose(refine(probabilities, head())[0], expected, atol=1e-4)


def test_smoothing_goes_across_slices() -> None:
    """A slice that a 2-D network missed, between two that it segmented, is filled."""
    probabilities = half_seen(unsure=0.95)
    probabilities[0, 4] = 0.3
    assert (refine(probabilities, head() * 0)[0, 4, 7:17, 5:11] > 0.5).all()


def test_the_exact_threshold_hardly_matters() -> None:
    """A threshold half a logit higher or lower gives nearly the same mask."""
    truth = np.zeros(SHAPE, dtype=np.float32)
    truth[BRIGHT] = 1
    probabilities = special.expit(6 * ndimage.gaussian_filter(truth, 1) - 3)[None]
    refined = refine(probabilities, head())[0]
    masks = [refined > special.expit(level) for level in (-0.5, 0.0, 0.5)]
    assert min(map(dice, masks)) > 0.95


@given(
    scale=st.floats(0.25, 4),
    shift=st.floats(-2, 2),
    seed=st.integers(0, 9),
)
@settings(max_examples=20)
def test_a_calibration_changes_nothing_but_the_scale(scale: float, shift: float, seed: int) -> None:
    probabilities, image = half_seen(), head(seed)

    def turned(values: Array) -> Array:
        line: Array = special.expit(scale * special.logit(values) + shift)
        return line

    plain = refine(probabilities, image)
    np.testing.assert_allclose(
        refine(turned(probabilities), image, [(scale, shift)]), turned(plain), atol=2e-3
    )


@given(
    seed=st.integers(0, 2**20),
    regions=st.integers(1, 3),
    channels=st.integers(1, 3),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
    extreme=st.sampled_from([0.0, np.nan, np.inf]),
)
@settings(max_examples=60)
def test_any_input_gives_probabilities(
    seed: int, regions: int, channels: int, shape: tuple[int, int, int], extreme: float
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(channels, *shape)).astype(np.float16)
    image[rng.random(image.shape) < 0.1] = extreme
    probabilities = rng.random((regions, *shape), dtype=np.float32)
    probabilities[rng.random(probabilities.shape) < 0.2] = 0
    probabilities[rng.random(probabilities.shape) < 0.2] = 1
    refined = refine(probabilities, image)
    assert refined.shape == probabilities.shape and refined.dtype == np.float32
    assert np.isfinite(refined).all() and refined.min() >= 0 and refined.max() <= 1
    assert (refined[probabilities == 0] == 0).all()


def test_blocks_of_voxels_give_what_all_at_once_do(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = refine(half_seen(), head())
    monkeypatch.setattr("mriseg.core.refine._BLOCK", 7)
    assert np.abs(refine(half_seen(), head()) - whole).max() < 1e-6


def test_the_order_of_memory_changes_nothing() -> None:
    other = np.asfortranarray(half_seen())
    assert (refine(other, np.asfortranarray(head())) == refine(half_seen(), head())).all()
