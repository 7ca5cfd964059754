"""What is brain, what is air, and the z-score over it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mriseg.core.intensity import (
    _HEAD_LEVEL,
    Normalisation,
    _bright,
    foreground,
    normalise,
    statistics,
)
from mriseg.errors import InputError
from mriseg.testing import phantoms


def stacked(images: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.stack(list(images.values()))


def test_a_stripped_brain_is_found_to_the_voxel(rng: np.random.Generator) -> None:
    image = stacked(phantoms.head(rng)[0])
    assert np.array_equal(foreground(image), (image != 0).any(axis=0))


def test_a_background_other_than_zero_is_still_background(
    rng: np.random.Generator,
) -> None:
    # BraTS 2013 as published on Kaggle: z-scored, so that the air is a negative constant.
    image = stacked(phantoms.head(rng)[0])
    brain = (image != 0).any(axis=0)
    shifted = image / 300 - np.array([1.5, 2.0, 1.0, 0.5], dtype=np.float32).reshape(4, 1, 1, 1)
    assert np.array_equal(foreground(shifted), brain)


def test_a_head_is_found_in_noise(rng: np.random.Generator) -> None:
    images, _ = phantoms.head(rng, (16, 64, 64), stripped=False)
    skull_and_brain = phantoms._ellipsoid((16, 64, 64), (0.5,) * 3, (0.48, 0.47, 0.45))
    mask = foreground(stacked(images))
    both = (mask & skull_and_brain).sum()
    assert 2 * both / (mask.sum() + skull_and_brain.sum()) > 0.95
    # Dark ventricles inside are brain, too.
    brain = phantoms._ellipsoid((16, 64, 64), (0.5,) * 3, (0.42, 0.4, 0.38))
    assert mask[brain].mean() > 0.99


def test_grey_air_in_one_modality_is_still_air(rng: np.random.Generator) -> None:
    # As in the T1 of TCGA_FG_5962 in the LGG set.
    images, _ = phantoms.head(rng, (16, 64, 64), stripped=False)
    image = stacked(images)
    mask = foreground(image)
    grey = image.copy()
    grey[0][~mask] += 0.8 * np.percentile(image[0], 99)
    head = foreground(grey)
    assert (head & mask).sum() / (head | mask).sum() > 0.85


def test_the_largest_piece_is_the_head(rng: np.random.Generator) -> None:
    images, _ = phantoms.head(rng, (16, 64, 64), stripped=False)
    image = stacked(images)
    image[:, 8, :7, :7] = 800  # a marker beside the head
    assert not foreground(image)[8, :4, :4].any()


def test_a_crop_without_air_is_foreground_as_a_whole(rng: np.random.Generator) -> None:
    image, _ = phantoms.head(rng, (32, 64, 64), modalities=("t1",))
    crop = stacked(image)[:, 10:22, 20:44, 20:44]
    assert crop.all()
    crop[:, :, :9, :9] = 10  # CSF
    assert foreground(crop).all()


def test_what_any_modality_shows_is_brain(rng: np.random.Generator) -> None:
    image = stacked(phantoms.head(rng)[0])
    brain = (image != 0).any(axis=0)
    for layer, part in zip(
        image, (slice(3, 9), slice(8, 14), slice(12, 20), slice(10, 12)), strict=True
    ):
        layer[: part.start] = layer[part.stop :] = 0
    brain[:3] = brain[20:] = False
    assert np.array_equal(foreground(image), (image != 0).any(axis=0))
    assert np.array_equal(foreground(image), brain)


@pytest.mark.parametrize("value", [0.0, 7.5, -3.0])
def test_a_constant_image_has_no_brain(value: float) -> None:
    assert not foreground(np.full((2, 4, 8, 8), value, dtype=np.float32)).any()


@pytest.mark.parametrize("shape", [(1, 1, 48, 40), (2, 1, 1, 1), (1, 3, 1, 40)])
def test_flat_volumes_are_handled(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    image = rng.uniform(0, 900, shape).astype(np.float32)
    assert foreground(image).shape == shape[1:]


def test_a_single_slice_of_a_stripped_brain(rng: np.random.Generator) -> None:
    image = stacked(phantoms.head(rng)[0])[:, 12:13]
    assert np.array_equal(foreground(image), (image != 0).any(axis=0))


@given(st.integers(0, 100), st.floats(-1000, 1000), st.floats(0.1, 1000))
def test_the_z_score_has_mean_0_and_deviation_1_over_the_brain(
    seed: int, shift: float, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    image = (rng.normal(size=(2, 4, 6, 6)) * scale + shift).astype(np.float32)
    mask = rng.random((4, 6, 6)) < 0.6
    norm = statistics(image, mask)
    scaled = normalise(image, mask, norm)
    assert scaled.dtype == np.float32
    assert np.allclose(scaled[:, mask].mean(axis=1), 0, atol=2e-3)
    assert np.allclose(scaled[:, mask].std(axis=1), 1, atol=2e-3)
    assert not scaled[:, ~mask].any()


def test_extreme_integers_do_not_overflow() -> None:
    image = np.full((1, 2, 2, 2), 32767, dtype=np.int16)
    image[0, 0] = -32768
    norm = statistics(image, np.ones((2, 2, 2), dtype=bool))
    assert norm == Normalisation((-0.5,), (32767.5,))


def test_a_constant_channel_is_reported() -> None:
    image = np.ones((2, 2, 2, 2), dtype=np.float32)
    image[0, 0] = 3
    with pytest.raises(InputError, match=r"channel 1 is constant \(1\)"):
        statistics(image, np.ones((2, 2, 2), dtype=bool))


@given(st.integers(0, 100), st.integers(1, 5))
def test_the_head_is_where_the_median_is_bright(seed: int, modalities: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(size=(modalities, 3, 9, 9)).astype(np.float32)
    scaled = [
        np.clip((layer - low) / (high - low), 0, 1)
        for layer in image
        for low, high in [np.percentile(layer, (1, 99))]
    ]
    expected = np.median(scaled, axis=0) > _HEAD_LEVEL
    assert np.array_equal(_bright(list(image)), expected)


@given(st.integers(0, 100), st.sampled_from(["u1", "i2", "u2", "f4"]))
def test_float16_is_float32_rounded(seed: int, dtype: str) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 250, (2, 4, 6, 6)).astype(dtype)
    mask = rng.random((4, 6, 6)) < 0.6
    norm = statistics(image, mask)
    half = normalise(image, mask, norm, np.float16)
    assert half.dtype == np.float16
    assert np.array_equal(half, normalise(image, mask, norm).astype(np.float16))
    assert np.array_equal(half, normalise(list(image), mask, norm, np.float16))


@given(st.integers(0, 100), st.floats(-1e4, 1e4), st.floats(1, 1e4))
def test_statistics_are_numpys_in_float64(seed: int, shift: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    image = (rng.normal(size=(1, 5, 9, 9)) * scale + shift).astype(np.float32)
    mask = rng.random((5, 9, 9)) < 0.5
    inside = image[0][mask].astype(np.float64)
    norm = statistics(image, mask)
    np.testing.assert_allclose(norm.mean, inside.mean(), rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(norm.std, inside.std(), rtol=1e-12)
