"""Bytes for a viewer: levels with a stated error, masks without any, in the right place."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core import display, volume
from mriseg.core.orientation import geometry_of
from mriseg.core.volume import Box
from mriseg.errors import InputError

SHAPES = st.tuples(*[st.integers(1, 5)] * 3)
FINITE = st.floats(-1e6, 1e6, width=32)


@given(hnp.arrays(np.float32, SHAPES, elements=FINITE | st.sampled_from([0, np.nan, np.inf])))
def test_a_level_is_within_the_stated_error_and_0_is_the_background(image: np.ndarray) -> None:
    levels = display.grey_levels(image)
    inside = np.isfinite(image) & (image != 0)
    assert ((levels.data > 0) == inside).all()
    assert levels.slope > 0 and levels.window[0] < levels.window[1]
    values = levels.data * np.float64(levels.slope) + levels.inter
    first, last = levels.slope + levels.inter, 255 * levels.slope + levels.inter
    kept = inside & (image >= first) & (image <= last)
    slack = 1e-6 * (1 + np.abs(image[kept]).max(initial=0))
    assert (np.abs(values[kept] - image[kept]) <= levels.error + slack).all()


def test_all_but_a_few_values_are_between_the_first_and_the_last_level(
    rng: np.random.Generator,
) -> None:
    image = rng.normal(size=(20, 20, 20))
    image[0, 0, 0] = 1e6
    levels = display.grey_levels(image)
    assert levels.error < 0.02
    off = np.abs(levels.data * levels.slope + levels.inter - image) > levels.error + 1e-5
    assert off.mean() < 0.003


@given(hnp.arrays(np.uint8, SHAPES) | hnp.arrays(np.bool_, SHAPES))
def test_bytes_stay_what_they_are(image: np.ndarray) -> None:
    levels = display.grey_levels(image)
    assert levels.exact and levels.error == 0
    assert (levels.data == image).all() and (levels.slope, levels.inter) == (1, 0)


def test_a_z_score_becomes_the_intensity_again(rng: np.random.Generator) -> None:
    raw = rng.uniform(50, 900, size=(9, 9, 9))
    scaled = display.grey_levels((raw - 400) / 120).scaled(120, 400)
    values = scaled.data * scaled.slope + scaled.inter
    assert np.abs(values - raw)[1:].mean() < scaled.error
    assert 50 <= scaled.window[0] < scaled.window[1] <= 900


def test_a_probability_is_within_a_510th() -> None:
    given_ = np.array([0, 0.2, 0.5019, 1, np.nan, 7])
    levels = display.shares(given_)
    assert np.abs(levels.data / 255 - [0, 0.2, 0.5019, 1, 0, 1]).max() <= levels.error + 1e-9


@given(hnp.arrays(np.uint8, st.tuples(st.integers(1, 20), *[st.integers(1, 3)] * 3)))
def test_every_mask_comes_out_of_its_bit(masks: np.ndarray) -> None:
    layers = display.bit_layers(masks)
    assert len(layers) == -(-len(masks) // 8)
    for index, mask in enumerate(masks):
        assert ((layers[index // 8] >> (index % 8) & 1) == (mask != 0)).all()


def test_the_box_holds_images_and_masks_and_everything_where_all_is_empty() -> None:
    image, mask = np.zeros((2, 6, 7, 8)), np.zeros((1, 6, 7, 8))
    assert display.shown_box([image]).shape == (6, 7, 8)
    image[1, 2, 3, 4], mask[0, 4, 3, 1] = -1, 1
    cut = display.shown_box([image, mask])
    assert cut == Box((2, 3, 1), (5, 4, 5))
    assert display.within(Box((10, 20, 30), (20, 40, 50)), cut) == Box((12, 23, 31), (15, 24, 35))
    with pytest.raises(InputError, match="one grid"):
        display.shown_box([image, mask[:, 1:]])
    with pytest.raises(InputError, match="no volume"):
        display.shown_box([])


def test_the_focus_is_in_the_fullest_slice_and_in_the_mask() -> None:
    ring = np.zeros((2, 4, 9, 9))
    ring[0, 1, 4, 4] = 1
    ring[1, 2, 1:8, 1:8] = 1
    ring[1, 2, 2:7, 2:7] = 0
    z, y, x = display.focus([np.zeros_like(ring), ring], (4, 9, 9))
    assert z == 2 and ring[1, z, y, x]
    assert display.focus([], (4, 9, 9)) == (2, 4, 4)


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """Axes in any order and direction, a little oblique, with any voxel sizes."""
    order = draw(st.permutations(range(3)))
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, world in enumerate(order):
        affine[world, axis] = draw(st.sampled_from([-1, 1])) * draw(st.sampled_from([0.5, 1, 3]))
    angle = draw(st.sampled_from([0, 0.2]))
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]])
    affine[:3, :3] = np.vstack([turn, [0, 0, 1]]) @ affine[:3, :3]
    affine[:3, 3] = draw(st.tuples(*[st.integers(-90, 90)] * 3))
    return affine


@given(affines())
def test_a_voxel_keeps_its_place_in_the_world(affine: np.ndarray) -> None:
    shape = (5, 6, 7)
    geometry = geometry_of(shape, affine)
    source = np.arange(np.prod(shape)).reshape(shape)
    whole = volume.canonical(source, geometry)
    z, y, x = whole.shape
    box = Box((1, 2, 1), (z - 1, y - 1, x))
    cut = display.to_ras(volume.crop(whole, box))
    placed = display.ras_affine(geometry, box)
    for index in np.ndindex(cut.shape):
        [own] = np.argwhere(source == cut[index])
        assert np.allclose(placed @ [*index[::-1], 1], affine @ [*own, 1])
    # To the right, to the front and up, as its name says.
    assert (np.argmax(np.abs(placed[:3, :3]), axis=0) == [0, 1, 2]).all()
    assert (np.diag(placed) > 0).all()


def test_without_a_voxel_size_the_canonical_axes_are_the_world() -> None:
    geometry = geometry_of((4, 5, 6), np.diag([1.0, -1, -1, 1]), unit="px")
    assert (display.ras_affine(geometry, Box((1, 1, 1), (3, 3, 3))) == np.eye(4)).all()


@given(image=hnp.arrays(np.float16, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6)))
def test_halves_have_the_levels_of_the_same_numbers_in_full(image: np.ndarray) -> None:
    halved, full = display.grey_levels(image), display.grey_levels(image.astype(np.float32))
    assert (halved.data == full.data).all() and halved.exact == full.exact
    assert halved.slope == pytest.approx(full.slope, rel=1e-6)
    assert halved.inter == pytest.approx(full.inter, rel=1e-6)
    assert halved.window == pytest.approx(full.window, rel=1e-6)
