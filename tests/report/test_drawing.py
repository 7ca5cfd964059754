"""What pictures are drawn with: grey levels, tiles and sheets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from mriseg.report.drawing import PALETTE, Key, Tile, colour, grey, grey_of_scan, sheet

ORANGE, BLUE = PALETTE[0][1], PALETTE[1][1]
modest = settings(deadline=None, max_examples=40)


# Grey levels.


@modest
@given(hnp.arrays(np.float32, (6, 7), elements=st.floats(-1000, 1000, width=32)))
def test_grey_levels_keep_zero_black_and_the_order(image: NDArray[np.float32]) -> None:
    level = grey(image)
    assert level.dtype == np.uint8
    assert (level[image == 0] == 0).all()
    inside = np.sort(image[image != 0])
    assert (np.diff(level[image != 0][np.argsort(image[image != 0])].astype(int)) >= 0).all()
    if inside.size > 50 and inside[0] < inside[-1]:
        assert level.max() == 255


def test_a_single_bright_voxel_does_not_darken_the_rest() -> None:
    image = np.random.default_rng(0).uniform(50, 150, (40, 40))
    calm = grey(image).astype(int)
    image[0, 0] = 1e6
    assert np.abs(grey(image).astype(int) - calm)[1:].max() <= 5


def test_a_normalised_brain_stands_out_from_its_background() -> None:
    # Zero, the background, is the mean of the brain: plain windowing would paint it grey.
    image = np.zeros((20, 20), dtype=np.float32)
    image[5:15, 5:15] = np.random.default_rng(0).normal(size=(10, 10))
    level = grey(image)
    assert level[:5].max() == 0
    assert 60 < level[5:15, 5:15].mean() < 195


def test_nan_is_black_and_changes_nothing_else() -> None:
    image = np.random.default_rng(0).uniform(50, 150, (40, 40))
    image[0, :3] = np.nan, np.inf, -np.inf
    level = grey(image)
    assert (level[0, :3] == 0).all() and 100 < level[1:].mean() < 155


# Tiles.


def test_a_fill_is_of_the_regions_colour_and_stays_in_its_region() -> None:
    level = np.full((20, 20), 100, dtype=np.uint8)
    masks = np.zeros((2, 20, 20))
    masks[0, 5:15, 5:15] = 1
    masks[1, 8:12, 8:12] = 1
    tile = Tile(level, (200, 200))
    tile.fill(masks, 0.5)
    pixels = np.asarray(tile.image()).astype(int)
    half = {paint: tuple((np.array(paint) + 100) // 2) for paint in (ORANGE, BLUE)}
    assert tuple(pixels[60, 60]) == pytest.approx(half[ORANGE], abs=1)
    assert tuple(pixels[100, 100]) == pytest.approx(half[BLUE], abs=1), "the larger shows through"
    assert (pixels[:40] == 100).all() and (pixels[:, 160:] == 100).all()


def test_the_smaller_region_covers_the_larger_whichever_comes_first() -> None:
    masks = np.zeros((2, 20, 20))
    masks[0, 8:12, 8:12] = 1
    masks[1, 5:15, 5:15] = 1
    tile = Tile(np.zeros((20, 20), dtype=np.uint8), (200, 200))
    tile.fill(masks, 1.0)
    pixels = np.asarray(tile.image())
    assert tuple(pixels[100, 100]) == ORANGE and tuple(pixels[60, 60]) == BLUE


def test_opacity_follows_the_probability() -> None:
    ramp = np.tile(np.linspace(0, 1, 50), (50, 1))[None]
    tile = Tile(np.zeros((50, 50), dtype=np.uint8), (100, 100))
    tile.fill(ramp, 1.0)
    red = np.asarray(tile.image())[50, :, 0].astype(int)
    assert (np.diff(red) >= 0).all() and red[0] == 0 and red[-1] == ORANGE[0]


def test_an_outline_is_the_border_and_nothing_else() -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[5:15, 5:15] = True
    tile = Tile(np.zeros((20, 20), dtype=np.uint8), (200, 200))
    tile.outline(mask, ORANGE)
    drawn: NDArray[np.bool_] = np.asarray(tile.image()).max(axis=-1) > 0
    rows, columns = np.nonzero(drawn)
    assert 45 <= rows.min() <= 55 and 145 <= rows.max() <= 155
    assert 45 <= columns.min() <= 55 and 145 <= columns.max() <= 155
    assert not drawn[60:140, 60:140].any() and drawn[100].any()


def test_a_region_cut_by_the_picture_has_no_border_at_the_edge() -> None:
    tile = Tile(np.zeros((20, 20), dtype=np.uint8), (100, 100))
    tile.outline(np.ones((20, 20), dtype=bool), ORANGE)
    assert not np.asarray(tile.image()).any()


# Sheets.


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 500,
        "two\nlines",
        "\udcff\udc80.nii",
        "患者 Zürich №7",
        "\x00\x1b[31m",
        "naïve · case",
    ],
)
def test_any_text_can_be_drawn(name: str) -> None:
    tile = Image.new("RGB", (60, 60))
    page = sheet([(name, [tile])], name, [name], [Key(name, ORANGE)] * 3)
    assert 480 <= page.width <= 752  # captions have a maximum width


def test_what_the_font_lacks_is_a_question_mark() -> None:
    tile = Image.new("RGB", (60, 60))
    drawn = [sheet([(name, [tile])]).tobytes() for name in ("患é\n", "?e?", "x")]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_legend_goes_on_in_the_next_line() -> None:
    tile = Image.new("RGB", (60, 60))
    heights = [
        sheet([("", [tile])], legend=[Key("region of the brain", ORANGE)] * n).height
        for n in (1, 2, 8)
    ]
    assert heights[0] == heights[1] < heights[2]


def test_colours_begin_again_after_the_last() -> None:
    assert colour(len(PALETTE)) == colour(0)
    assert len({paint for _, paint in PALETTE}) == len(PALETTE)


@given(image=hnp.arrays(np.float16, hnp.array_shapes(min_dims=2, max_dims=3, max_side=6)))
def test_a_channel_of_a_scan_has_the_grey_of_its_numbers_in_full(
    image: NDArray[np.float16],
) -> None:
    with np.errstate(invalid="ignore"):
        full = grey(image.astype(np.float32)).astype(int)
    # A level apart at most: NumPy rounds a percentile once more.
    assert np.abs(grey_of_scan(image).astype(int) - full).max() <= 1


def test_a_region_that_is_not_in_a_slice_changes_nothing_of_it() -> None:
    level = np.arange(64, dtype=np.uint8).reshape(8, 8)
    plain, filled = Tile(level, (32, 32)), Tile(level, (32, 32))
    filled.fill(np.zeros((2, 8, 8)), 0.5)
    assert np.array_equal(np.asarray(plain.image()), np.asarray(filled.image()))
