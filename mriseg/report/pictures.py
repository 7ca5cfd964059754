"""The pictures mriseg makes: the validation grid, the overlay beside a mask, a case's thumbnail.

The first two are PNG, the same bytes for the same input, and whole or not there. Regions have
colours that people with any colour vision can distinguish; the truth, where it is known, is a pale
outline.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mriseg.core import halves
from mriseg.core.modalities import display_modality
from mriseg.core.prepare import PreparedCase
from mriseg.core.volume import Geometry, Pad
from mriseg.errors import InputError
from mriseg.io.disk.atomic import replacing
from mriseg.report import brain_outline
from mriseg.report.drawing import (
    WHITE,
    Key,
    Tile,
    colour,
    grey,
    grey_of_scan,
    pale,
    sheet,
    stacked,
)

Array = NDArray[Any]

_GRID_TILE = 184
_THUMBNAIL = 220
_OVERLAY_TILE = 264
# Slices of an overlay, and how many of them stand side by side.
_SLICES, _COLUMNS = 8, 4
_TRUTH = Key("truth, a pale outline", WHITE, filled=False)


@dataclass(frozen=True)
class GridRow:
    """One slice of a validation grid.

    Attributes:
        caption: such as "TCGA_CS_4941 · slice 12 · Dice 0.91".
        image: [m, h, w], normalised or raw.
        truth: 0/1 [r, h, w].
        output: the network's probabilities [r, h, w].
    """

    caption: str
    image: Array
    truth: Array
    output: Array


def grid(
    path: Path,
    rows: Sequence[GridRow],
    modalities: Sequence[str],
    regions: Sequence[str],
    title: str = "",
) -> None:
    """A sheet with one slice per row: every modality, the truth, and the network's output.

    In the output, a colour's opacity is the probability; its outline is where that exceeds one
    half.

    Args:
        path: of the PNG to write.
        rows: the slices.
        modalities: names of the m channels. FLAIR, or else the first, lies behind the masks.
        regions: names of the r regions.
        title: the sheet's.

    Raises:
        InputError: there are no rows, or one does not fit the names.
        OutputError: the file cannot be written.
    """
    if not rows:
        raise InputError("a grid needs at least one slice")
    for row in rows:
        _check_row(row, modalities, regions)
    frame = (max(row.image.shape[1] for row in rows), max(row.image.shape[2] for row in rows))
    rows = [_centred(row, frame) for row in rows]
    levels = [np.stack([grey(channel) for channel in row.image]) for row in rows]
    # A false positive outside the head is an error worth seeing, so it is not cropped away.
    shown = [
        np.concatenate([level > _AIR, row.truth > 0, row.output > 0.5]).any(axis=0)
        for row, level in zip(rows, levels, strict=True)
    ]
    cut = _frame(np.stack(shown))
    size = _size(cut, (1, 1), _GRID_TILE)
    behind = modalities.index(display_modality(modalities))

    drawn = []
    for row, level in zip(rows, levels, strict=True):
        truth, output = row.truth[:, *cut], row.output[:, *cut]
        tiles = [Tile(channel[cut], size) for channel in level]
        known = _painted(Tile(level[behind][cut], size, dim=0.65), truth, opacity=0.6)
        predicted = _painted(Tile(level[behind][cut], size, dim=0.65), output, 0.75, truth)
        drawn.append((row.caption, [tile.image() for tile in (*tiles, known, predicted)]))

    headings = [*modalities, "truth", "output"]
    legend = [Key(region, colour(index)[1]) for index, region in enumerate(regions)]
    _save(path, sheet(drawn, title, headings, [*legend, _TRUTH]))


def overlay(
    path: Path,
    case: PreparedCase,
    mask: Array,
    regions: Sequence[str],
    title: str,
    truth: Array | None = None,
) -> None:
    """A sheet of one case's most telling slices with its mask in colour.

    Slices are drawn in true proportion, numbered as in the whole scan in canonical axes. Below them
    is the outline of the brain, where the case was stripped.

    Args:
        path: of the PNG to write.
        case: the scan; of its modalities `display_modality` is shown.
        mask: 0/1 [r, z, y, x] on the case's (cropped) grid.
        regions: names of the r regions.
        title: the sheet's.
        truth: like ``mask``, where it is known; drawn as pale outlines.

    Raises:
        InputError: the arrays or names do not fit together.
        OutputError: the file cannot be written.
    """
    image = case.image[case.modalities.index(display_modality(case.modalities))]
    if mask.shape != (len(regions), *image.shape):
        raise InputError(
            f"a mask of shape {mask.shape} is not one of {len(regions)} regions on an image of "
            f"shape {image.shape}"
        )
    if truth is not None and truth.shape != mask.shape:
        raise InputError(f"a truth of shape {truth.shape} is not one for a mask of {mask.shape}")
    both = np.any(mask if truth is None else (mask != 0) | (truth != 0), axis=0)
    level = grey_of_scan(image) if halves.is_half(image) else grey(image)
    cut = _frame((level > _AIR) | both)
    size = _size(cut, case.geometry.spacing[1:], _OVERLAY_TILE)

    tiles = []
    for z in representative(both, level > 0, _SLICES):
        outlines = None if truth is None else truth[:, z, *cut]
        tile = _painted(Tile(level[z, *cut], size), mask[:, z, *cut], opacity=0.4, truth=outlines)
        tiles.append(tile.image(f"slice {case.box.start[0] + z}"))
    rows = [("", tiles[start : start + _COLUMNS]) for start in range(0, len(tiles), _COLUMNS)]
    page = sheet(rows, title, legend=_legend(case.geometry, mask, regions, truth))
    if case.outline is not None:
        page = stacked([page, brain_outline.drawn(case.outline, "What was kept of the head")])
    _save(path, page)


def thumbnail(image: Array, masks: Array, spacing: tuple[float, float]) -> bytes:
    """A small picture of one slice with its masks in colour, as a JPEG, for a sheet of many.

    Args:
        image: [h, w], normalised or raw.
        masks: 0/1 [r, h, w].
        spacing: of its pixels (y, x).
    """
    level = grey(image)
    cut = _frame(((level > _AIR) | masks.any(axis=0))[None])
    size = _size(cut, spacing, _THUMBNAIL)
    tile = _painted(Tile(level[cut], size), masks[:, *cut], opacity=0.25)
    file = io.BytesIO()
    tile.image().save(file, format="JPEG", quality=82)
    return file.getvalue()


def _legend(
    geometry: Geometry, mask: Array, regions: Sequence[str], truth: Array | None
) -> list[Key]:
    """Each region's colour and volume, and how the truth is drawn."""
    keys = []
    for index, region in enumerate(regions):
        name, paint = colour(index)
        text = f"{region} ({name}) {geometry.volume_of(np.count_nonzero(mask[index]))}"
        if truth is not None:
            text += f", truth {geometry.volume_of(np.count_nonzero(truth[index]))}"
        keys.append(Key(text, paint))
    return keys if truth is None else [*keys, _TRUTH]


def representative(mask: Array, head: Array, number: int) -> list[int]:
    """The slices of a volume that show it best, in ascending order, at most ``number``.

    Args:
        mask: the segmentation, [z, y, x].
        head: where there is tissue, [z, y, x].
        number: how many to choose.

    Returns:
        The slices with some of the mask, in as many runs of equal length, the fullest of each. If
        the mask is empty, evenly spaced ones among those that hold at least a third of what the
        fullest slice holds of the head.
    """
    areas = np.count_nonzero(mask, axis=(1, 2))
    if areas.any():
        runs = np.array_split(np.flatnonzero(areas), number)
        return [int(run[areas[run].argmax()]) for run in runs if run.size]
    areas = np.count_nonzero(head, axis=(1, 2))
    full = np.flatnonzero(areas >= areas.max() / 3)
    picks = np.linspace(0, full.size - 1, min(number, full.size) + 2).round().astype(int)[1:-1]
    return sorted({int(full[pick]) for pick in picks})


# Grey levels up to here are air when a sheet is cropped to the head.
_AIR = 20


def _frame(shown: Array) -> tuple[slice, slice]:
    """The rows and columns that hold something in any slice, and a little more."""
    cuts = []
    for axis in (1, 2):
        held = np.flatnonzero(shown.any(axis=tuple({0, 1, 2} - {axis})))
        size = shown.shape[axis]
        spare = max(1, size // 40)
        first, last = (int(held[0]), int(held[-1])) if held.size else (0, size - 1)
        cuts.append(slice(max(0, first - spare), min(size, last + 1 + spare)))
    return cuts[0], cuts[1]


def _size(cut: tuple[slice, slice], spacing: tuple[float, float], longest: int) -> tuple[int, int]:
    """The (width, height) in pixels of a tile that shows ``cut`` in true proportion."""
    height, width = (
        (part.stop - part.start) * step for part, step in zip(cut, spacing, strict=True)
    )
    scale = longest / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _painted(tile: Tile, regions: Array, opacity: float, truth: Array | None = None) -> Tile:
    """``tile`` with regions [r, h, w] in colour, and the outlines of their truth."""
    tile.fill(regions, opacity)
    for index, region in enumerate(regions):
        tile.outline(region > 0.5, colour(index)[1])
    if truth is not None:
        for index, region in enumerate(truth):
            tile.outline(region, pale(colour(index)[1]))
    return tile


def _check_row(row: GridRow, modalities: Sequence[str], regions: Sequence[str]) -> None:
    h, w = row.image.shape[-2:]
    expected = ((len(modalities), h, w), (len(regions), h, w), (len(regions), h, w))
    given = (row.image.shape, row.truth.shape, row.output.shape)
    if given != expected:
        raise InputError(
            f"the slice {row.caption!r} has image, truth and output of shapes "
            f"{', '.join(map(str, given))}; expected {', '.join(map(str, expected))}"
        )


def _centred(row: GridRow, frame: tuple[int, int]) -> GridRow:
    """``row`` in the middle of an empty frame (h, w) at least as large."""
    pad = Pad.to(row.image.shape[-2:], frame)
    arrays = (pad.apply(array) for array in (row.image, row.truth, row.output))
    return GridRow(row.caption, *arrays)


def _save(path: Path, page: Image.Image) -> None:
    with replacing(path) as temporary:
        # Level 6, the default, takes twice the time for a fiftieth of the bytes.
        page.save(temporary, format="PNG", compress_level=3)
