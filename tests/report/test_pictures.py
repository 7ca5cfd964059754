"""Pictures: what is painted is where the mask is, in its colour, and the file is whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from mriseg.core.intensity import Normalisation
from mriseg.core.metrics import score_case
from mriseg.core.outline import outlined
from mriseg.core.prepare import PreparedCase
from mriseg.core.volume import Box, Geometry
from mriseg.errors import InputError, OutputError
from mriseg.report import pictures
from mriseg.report.drawing import PALETTE, Key, Tile
from mriseg.report.pictures import GridRow, grid, overlay, representative

ORANGE, BLUE = PALETTE[0][1], PALETTE[1][1]
modest = settings(deadline=None, max_examples=40)


def read(path: Path) -> NDArray[np.int64]:
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(np.int64)


def share_of(pixels: NDArray[np.int64], paint: tuple[int, int, int]) -> float:
    return float((pixels == paint).all(axis=-1).mean())


def above_the_legend(path: Path) -> NDArray[np.int64]:
    return read(path)[:-40]


def a_case(shape: tuple[int, int, int] = (12, 40, 30)) -> tuple[NDArray[np.float32], Box]:
    """A bright head in air, and the box within it where its tumour is."""
    image = np.zeros(shape, dtype=np.float32)
    image[:, 5:35, 4:26] = np.random.default_rng(0).normal(100, 10, (shape[0], 30, 22))
    return image, Box((4, 12, 8), (8, 22, 18))


def a_mask(image: NDArray[np.float32], box: Box, regions: int = 1) -> NDArray[np.uint8]:
    mask = np.zeros((regions, *image.shape), dtype=np.uint8)
    mask[:, *box.slices] = 1
    return mask


def prepared(
    image: NDArray[np.float32],
    spacing: tuple[float, float, float] = (1, 1, 1),
    *,
    start: int = 0,
    affine: tuple[tuple[float, ...], ...] | None = None,
    unit: str = "mm",
) -> PreparedCase:
    """A case of one modality whose image begins at slice ``start`` of its scan."""
    z, y, x = image.shape
    d, h, w = spacing
    rows = ((w, 0.0, 0.0, 0.0), (0.0, h, 0.0, 0.0), (0.0, 0.0, d, 0.0), (0.0, 0.0, 0.0, 1.0))
    geometry = Geometry((x, y, start + z), affine or rows, (2, 1, 0), (False, True, True), unit)
    box = Box((start, 0, 0), (start + z, y, x))
    return PreparedCase(image[None], ("FLAIR",), None, geometry, box, Normalisation((0.0,), (1.0,)))


def labels_of(
    monkeypatch: pytest.MonkeyPatch, path: Path, case: PreparedCase, mask: NDArray[np.uint8]
) -> list[str]:
    """What stands in the corners of an overlay's tiles."""
    labels: list[str] = []
    image = Tile.image

    def noted(tile: Tile, label: str = "") -> Image.Image:
        labels.append(label)
        return image(tile, label)

    with monkeypatch.context() as patched:
        patched.setattr(Tile, "image", noted)
        overlay(path, case, mask, ["WT"], "")
    return labels


def a_row(size: int = 32, regions: int = 1) -> GridRow:
    rng = np.random.default_rng(1)
    image = rng.normal(size=(2, size, size)).astype(np.float32)
    truth = np.zeros((regions, size, size), dtype=np.uint8)
    truth[:, 8:20, 8:20] = 1
    return GridRow("case · slice 3 · Dice 0.90", image, truth, truth * 0.9)


# Which slices.


@modest
@given(hnp.arrays(bool, st.tuples(st.integers(1, 20), st.just(4), st.just(4))), st.integers(1, 9))
def test_slices_with_the_mask_are_chosen_and_the_fullest_is_among_them(
    mask: NDArray[np.bool_], number: int
) -> None:
    chosen = representative(mask, np.ones_like(mask), number)
    areas = mask.sum(axis=(1, 2))
    assert chosen == sorted(set(chosen)) and 1 <= len(chosen) <= number
    if mask.any():
        assert len(chosen) == min(number, np.count_nonzero(areas))
        assert all(areas[z] for z in chosen)
        assert areas[chosen].max() == areas.max()


def test_without_a_mask_slices_are_spread_over_the_head() -> None:
    head = np.zeros((30, 8, 8), dtype=bool)
    head[10:26] = True
    chosen = representative(np.zeros_like(head), head, 4)
    assert len(chosen) == 4 and min(chosen) >= 10 and max(chosen) < 26
    assert np.ptp(np.diff(chosen)) <= 1


# The overlay.


def test_an_overlay_shows_every_region_in_its_colour(tmp_path: Path) -> None:
    image, box = a_case()
    mask = a_mask(image, box, regions=2)
    mask[1, :, :16] = 0
    overlay(tmp_path / "o.png", prepared(image), mask, ["WT", "TC"], "case")
    pixels = above_the_legend(tmp_path / "o.png")
    assert share_of(pixels, ORANGE) > 0 and share_of(pixels, BLUE) > 0
    assert share_of(pixels, PALETTE[2][1]) == 0
    overlay(tmp_path / "none.png", prepared(image), mask * 0, ["WT", "TC"], "case")
    assert share_of(above_the_legend(tmp_path / "none.png"), ORANGE) == 0


def test_below_the_overlay_of_a_stripped_head_is_what_was_kept_of_it(tmp_path: Path) -> None:
    image, box = a_case()
    case = prepared(image)
    brain = np.zeros(case.geometry.shape, dtype=bool)
    brain[4:-4, 4:-4, 2:-2] = True
    raw = np.random.default_rng(0).normal(100, 10, case.geometry.shape)
    outline = outlined(raw, brain, case.geometry, modality="FLAIR", stripper="deepbet")
    empty = a_mask(image, box) * 0
    overlay(tmp_path / "whole.png", case, empty, ["WT"], "case")
    overlay(tmp_path / "stripped.png", replace(case, outline=outline), empty, ["WT"], "case")
    whole, stripped = read(tmp_path / "whole.png"), read(tmp_path / "stripped.png")
    height, width = whole.shape[:2]
    assert np.array_equal(stripped[:height, :width], whole)
    assert share_of(stripped[height:], ORANGE) > 0


def test_a_mask_of_one_slice_outside_the_head_is_on_the_overlay(tmp_path: Path) -> None:
    image, _ = a_case((12, 80, 30))
    mask = a_mask(image, Box((6, 70, 8), (7, 75, 14)))
    overlay(tmp_path / "o.png", prepared(image), mask, ["WT"], "case")
    assert share_of(above_the_legend(tmp_path / "o.png"), ORANGE) > 0


def test_a_truth_is_outlined_where_it_is(tmp_path: Path) -> None:
    image, box = a_case()
    mask = a_mask(image, box)
    away = np.roll(mask, 8, axis=2)
    same, other = tmp_path / "same.png", tmp_path / "other.png"
    overlay(same, prepared(image), mask, ["WT"], "case", truth=mask)
    overlay(other, prepared(image), mask, ["WT"], "case", truth=away)
    # Where both agree, the truth's outline covers that of the mask.
    assert share_of(read(same), ORANGE) < share_of(read(other), ORANGE)


def test_slices_are_drawn_in_true_proportion(tmp_path: Path) -> None:
    image, _ = a_case((12, 40, 40))
    image[:] = np.random.default_rng(0).normal(100, 10, image.shape)
    shapes = []
    for spacing in ((1.0, 1.0, 1.0), (5.0, 2.0, 1.0)):
        mask = a_mask(image, Box((4, 12, 8), (6, 22, 18)))
        overlay(tmp_path / "o.png", prepared(image, spacing), mask, ["WT"], "")
        # Bright tissue fills the tiles; the paper and the legend are dark.
        bright = read(tmp_path / "o.png")[:280].min(axis=-1) > 60
        rows, columns = np.nonzero(bright)
        shapes.append((np.ptp(rows) + 1, (np.ptp(columns) + 1 - 4) / 2))
    (square_h, square_w), (tall_h, tall_w) = shapes
    assert square_h == pytest.approx(square_w, abs=3)
    assert tall_h == pytest.approx(2 * tall_w, abs=4)


def test_slices_of_a_cropped_scan_keep_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, box = a_case()
    mask = a_mask(image, box)
    whole = labels_of(monkeypatch, tmp_path / "o.png", prepared(image), mask)
    part = prepared(image[3:], start=3)
    assert labels_of(monkeypatch, tmp_path / "o.png", part, mask[:, 3:]) == whole
    assert whole == ["slice 4", "slice 5", "slice 6", "slice 7"]


@pytest.mark.parametrize(("unit", "expected"), [("mm", "1.0 mL"), ("px", "1000 voxels")])
def test_a_sheared_scan_has_one_volume_in_overlay_evaluation_and_prediction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str, expected: str
) -> None:
    # The columns are 1, 1 and 1.12 long; what they span has a volume of 1.
    affine = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.5, 0.0), (0.0, 0.0, 1.0, 0.0), (0, 0, 0, 1.0))
    image = np.random.default_rng(0).normal(100, 10, (12, 12, 12)).astype(np.float32)
    mask = a_mask(image, Box((1, 1, 1), (11, 11, 11)))
    case = prepared(image, affine=affine, unit=unit)
    legends: list[str] = []

    def noted(rows: object, title: str, legend: list[Key]) -> Image.Image:
        legends.extend(key.text for key in legend)
        return Image.new("RGB", (8, 8))

    monkeypatch.setattr(pictures, "sheet", noted)
    overlay(tmp_path / "o.png", case, mask, ["WT"], "")
    assert legends == [f"WT (orange) {expected}"]
    (score,) = score_case("c", mask, mask, ["WT"], case.geometry)
    predicted = case.geometry.volume_of(mask.sum())
    assert str(predicted) == expected
    assert score.volume_pred == score.volume_truth == predicted.value


def test_an_empty_scan_still_makes_a_picture(tmp_path: Path) -> None:
    nothing = np.zeros((3, 8, 8), dtype=np.float32)
    overlay(tmp_path / "o.png", prepared(nothing), nothing[None], ["WT"], "empty")
    assert read(tmp_path / "o.png").size


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    image, box = a_case()
    mask = a_mask(image, box)
    with pytest.raises(InputError, match="2 regions"):
        overlay(tmp_path / "o.png", prepared(image), mask, ["WT", "TC"], "")
    with pytest.raises(InputError, match="truth"):
        overlay(tmp_path / "o.png", prepared(image), mask, ["WT"], "", truth=mask[0])
    assert not list(tmp_path.iterdir())


# The grid.


def test_a_grid_has_a_column_for_each_modality_the_truth_and_the_output(tmp_path: Path) -> None:
    grid(tmp_path / "g.png", [a_row(), a_row()], ["T1", "FLAIR"], ["WT"], "epoch 1")
    pixels = read(tmp_path / "g.png")
    width = pixels.shape[1] - 2 * 16
    tinted = np.abs(pixels[..., 0] - pixels[..., 2]) > 40
    by_column = [tinted[:400, 16 + i * width // 4 : 16 + (i + 1) * width // 4] for i in range(4)]
    assert [bool(part.any()) for part in by_column] == [False, False, True, True]


def test_slices_of_several_sizes_share_a_grid(tmp_path: Path) -> None:
    grid(tmp_path / "g.png", [a_row(32), a_row(25)], ["T1", "FLAIR"], ["WT"])
    assert read(tmp_path / "g.png").shape[1] == 4 * (184 + 4) - 4 + 2 * 16


def test_captions_have_room_up_to_a_limit(tmp_path: Path) -> None:
    rows = {words: replace(a_row(), caption="x" * words) for words in (0, 90, 900)}
    widths = {}
    for words, row in rows.items():
        grid(tmp_path / "g.png", [replace(row, image=row.image[:1])], ["T1"], ["WT"])
        widths[words] = read(tmp_path / "g.png").shape[1]
    assert widths[0] == 3 * (184 + 4) - 4 + 2 * 16 < widths[90] < widths[900] == 720 + 2 * 16


def test_a_segmentation_outside_the_head_is_not_cropped_away(tmp_path: Path) -> None:
    row = a_row()
    image = np.zeros_like(row.image)
    image[:, 10:20, 10:20] = 5 + row.image[:, 10:20, 10:20]
    output = np.zeros(row.truth.shape)
    output[:, 28:31, 28:31] = 1
    grid(tmp_path / "g.png", [GridRow("", image, row.truth * 0, output)], ["T1", "T2"], ["WT"])
    assert share_of(above_the_legend(tmp_path / "g.png"), ORANGE) > 0


def test_rows_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one"):
        grid(tmp_path / "g.png", [], ["T1", "FLAIR"], ["WT"])
    with pytest.raises(InputError, match="expected"):
        grid(tmp_path / "g.png", [a_row()], ["T1"], ["WT"])
    with pytest.raises(InputError, match="expected"):
        grid(tmp_path / "g.png", [a_row(regions=2)], ["T1", "FLAIR"], ["WT"])


# Files.


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    image, box = a_case()
    for name in ("a", "b"):
        overlay(tmp_path / f"o{name}.png", prepared(image), a_mask(image, box), ["WT"], "x")
        grid(tmp_path / f"g{name}.png", [a_row()], ["T1", "FLAIR"], ["WT"])
    assert (tmp_path / "oa.png").read_bytes() == (tmp_path / "ob.png").read_bytes()
    assert (tmp_path / "ga.png").read_bytes() == (tmp_path / "gb.png").read_bytes()


def test_a_picture_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        grid(tmp_path / "file" / "g.png", [a_row()], ["T1", "FLAIR"], ["WT"])


# Real scans.


@pytest.mark.realdata
def test_the_colour_on_a_real_scan_covers_what_the_mask_covers(
    lgg_dir: Path, tmp_path: Path
) -> None:
    patient = next(folder for folder in sorted(lgg_dir.iterdir()) if folder.is_dir())
    count = len(list(patient.glob("*_mask.tif")))
    stems = [patient / f"{patient.name}_{number + 1}" for number in range(count)]
    image = np.stack([np.asarray(Image.open(f"{stem}.tif"))[..., 1] for stem in stems])
    mask = np.stack([np.asarray(Image.open(f"{stem}_mask.tif")) > 0 for stem in stems])[None]
    case = prepared(image.astype(np.float32), unit="px")
    overlay(tmp_path / "o.png", case, mask.astype(np.uint8), ["WT"], patient.name)
    pixels = read(tmp_path / "o.png")
    tinted = (pixels[..., 0] - pixels[..., 2]) > 30
    chosen = representative(mask[0], image > 0, 8)
    drawn = 8 * 264 * 264 / (256 * 256)
    # In the picture's pixels, if no crop were made; a crop to the head enlarges it somewhat.
    expected = mask[0, chosen].sum() * drawn / 8
    assert expected < tinted.sum() < 2 * expected
