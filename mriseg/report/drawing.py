"""What the pictures are drawn with: grey scales, outlines, tiles, and sheets of tiles."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from mriseg.core import halves

Array = NDArray[Any]
Colour = tuple[int, int, int]

# Okabe and Ito's colours (2008), which people with any colour vision can distinguish; those that
# stand out most on grey come first, and black is left out.
PALETTE: tuple[tuple[str, Colour], ...] = (
    ("orange", (230, 159, 0)),
    ("sky blue", (86, 180, 233)),
    ("purple", (204, 121, 167)),
    ("yellow", (240, 228, 66)),
    ("green", (0, 158, 115)),
    ("vermillion", (213, 94, 0)),
    ("blue", (0, 114, 178)),
)
WHITE: Colour = (255, 255, 255)

_PAPER: Colour = (17, 18, 21)
_INK: Colour = (236, 237, 240)
_FAINT: Colour = (160, 163, 170)
_MARGIN = 16
_GAP = 4
# A sheet becomes wider for its captions up to here; longer ones are cut.
_MAX_WIDTH = 720
# Tiles are painted this many times larger and then reduced, which smooths their outlines.
_FINER = 2


def colour(index: int) -> tuple[str, Colour]:
    """The name and the colour of the region with that index; after the last come the first."""
    return PALETTE[index % len(PALETTE)]


def pale(paint: Colour) -> Colour:
    """That colour, most of the way to white: the outline of a truth in a region of that colour."""
    red, green, blue = (round(255 - 0.2 * (255 - part)) for part in paint)
    return (red, green, blue)


def grey(image: Array) -> NDArray[np.uint8]:
    """Intensities of any shape as grey levels, windowed from the 1st to the 99th percentile.

    Exact zeros stay black and out of the percentiles. They are what surrounds a skull-stripped
    brain and what normalisation leaves outside it; in it, zero is also the mean of the brain.
    What is not finite is black too.
    """
    inside = (image != 0) & np.isfinite(image)
    if not inside.any():
        return np.zeros(image.shape, dtype=np.uint8)
    return _levels(image, np.percentile(image[inside], (1, 99)))


def grey_of_scan(image: NDArray[np.float16]) -> NDArray[np.uint8]:
    """`grey` of a channel of a prepared case, in a quarter of the time."""
    ends = np.asarray(halves.percentiles(image, (1, 99)))
    if not ends.size:
        return np.zeros(image.shape, dtype=np.uint8)
    return halves.mapped(image, lambda values: _levels(values, ends))


def _levels(image: Array, ends: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Grey levels between two intensities, black where there is nothing."""
    low, high = ends
    inside = (image != 0) & np.isfinite(image)
    share = (image.astype(np.float32) - low) / max(float(high - low), 1e-12)
    level: NDArray[np.uint8] = (np.where(inside, np.clip(share, 0, 1), 0) * 255).astype(np.uint8)
    return level


class Tile:
    """One slice, enlarged, on which masks are painted.

    Args:
        level: grey levels [h, w], uint8.
        size: of the tile, (width, height) in pixels.
        dim: what the grey levels are multiplied with, so that colours stand out.
    """

    def __init__(self, level: Array, size: tuple[int, int], dim: float = 1.0) -> None:
        self.size = size
        self._fine = (size[0] * _FINER, size[1] * _FINER)
        enlarged = Image.fromarray(level).resize(self._fine, Image.Resampling.BICUBIC)
        grey_levels = np.asarray(enlarged, dtype=np.float32) * dim
        self._pixels: NDArray[np.float32] = np.repeat(grey_levels[..., None], 3, axis=2)

    def fill(self, regions: Array, most: float) -> None:
        """Colour the regions, each in the colour of its index.

        Where regions lie one in another, the smaller covers the larger rather than mix with it.

        Args:
            regions: [r, h, w] in [0, 1], masks or probabilities.
            most: opacity where a region is 1.
        """
        strengths = np.stack([self._enlarged(region) for region in regions])
        # Most of a slice has nothing to be coloured.
        rows, columns = (np.flatnonzero(strengths.any(axis=(0, axis))) for axis in (2, 1))
        if not rows.size:
            return
        part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        pixels = self._pixels[part]
        paint = np.zeros_like(pixels)
        opacity = np.zeros((*pixels.shape[:2], 1), dtype=np.float32)
        for index in np.argsort(-regions.sum(axis=(1, 2)), kind="stable"):
            strength = strengths[(index, *part)][..., None]
            paint += np.where(opacity > 0, strength, 1) * (_rgb(colour(int(index))[1]) - paint)
            opacity = np.maximum(opacity, strength)
        pixels += opacity * most * (paint - pixels)

    def outline(self, mask: Array, paint: Colour) -> None:
        """Draw the inner border of a mask [h, w]."""
        inside = self._enlarged(mask != 0) >= 0.5
        if inside.any():
            # The tile's edge is no border: what runs out of the picture goes on.
            core = ndimage.binary_erosion(inside, iterations=_FINER, border_value=1)
            self._pixels[inside & ~core] = paint

    def image(self, label: str = "") -> Image.Image:
        """The finished tile, with ``label`` in its lower left corner."""
        fine = Image.fromarray(np.clip(self._pixels + 0.5, 0, 255).astype(np.uint8))
        done = fine.resize(self.size, Image.Resampling.BOX)
        if label:
            draw = ImageDraw.Draw(done)
            draw.text(
                (6, self.size[1] - 5), legible(label), _INK, _font(13), "ld",
                stroke_width=2, stroke_fill=_PAPER,
            )  # fmt: skip
        return done

    def _enlarged(self, values: Array) -> NDArray[np.float32]:
        small = Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8))
        large = np.asarray(small.resize(self._fine, Image.Resampling.BILINEAR), dtype=np.float32)
        return large / np.float32(255)


@dataclass(frozen=True)
class Key:
    """One entry of a legend.

    Attributes:
        text: what it stands for.
        paint: its colour.
        filled: a filled swatch, or an outline alone.
    """

    text: str
    paint: Colour
    filled: bool = True


def stacked(pages: Sequence[Image.Image]) -> Image.Image:
    """Sheets one below the other."""
    width = max(page.width for page in pages)
    whole = Image.new("RGB", (width, sum(page.height for page in pages)), _PAPER)
    top = 0
    for page in pages:
        whole.paste(page, (0, top))
        top += page.height
    return whole


def sheet(
    rows: Sequence[tuple[str, Sequence[Image.Image]]],
    title: str = "",
    headings: Sequence[str] = (),
    legend: Sequence[Key] = (),
    least_width: int = 480,
) -> Image.Image:
    """Rows of tiles of one size on one sheet.

    Args:
        rows: a caption, which may be empty, and the tiles of each row.
        title: above all of it; shortened where it does not fit.
        headings: one above each column.
        legend: below all of it, in as many lines as it takes.
        least_width: of the sheet, in pixels, so that few small tiles leave room for the words.
    """
    tile_w, tile_h = rows[0][1][0].size
    columns = max(len(tiles) for _, tiles in rows)
    spoken = max(round(_font(14).getlength(legible(caption[:200]))) for caption, _ in rows)
    inside = max(columns * (tile_w + _GAP) - _GAP, min(spoken, _MAX_WIDTH))
    width = max(inside + 2 * _MARGIN, least_width)
    keys = _lines(legend, width - 2 * _MARGIN)
    heights = [
        44 if title else _MARGIN,
        22 if headings else 0,
        sum(tile_h + _GAP + (24 if caption else 0) for caption, _ in rows),
        10 + 24 * len(keys) if keys else 0,
    ]
    page = Image.new("RGB", (width, sum(heights) + _MARGIN - _GAP), _PAPER)
    draw = ImageDraw.Draw(page)

    if title:
        draw.text((_MARGIN, 12), _fitting(title, 18, width - 2 * _MARGIN), _INK, _font(18), "la")
    y = heights[0]
    for column, heading in enumerate(headings):
        centre = _MARGIN + column * (tile_w + _GAP) + tile_w // 2
        draw.text((centre, y), _fitting(heading, 14, tile_w), _FAINT, _font(14), "ma")
    y += heights[1]
    for caption, tiles in rows:
        if caption:
            draw.text((_MARGIN, y + 4), _fitting(caption, 14, width - 2 * _MARGIN), _INK, _font(14))
            y += 24
        for column, tile in enumerate(tiles):
            page.paste(tile, (_MARGIN + column * (tile_w + _GAP), y))
        y += tile_h + _GAP
    y += 8
    for line in keys:
        for x, key in line:
            box = (_MARGIN + x, y + 3, _MARGIN + x + 14, y + 17)
            draw.rectangle(box, fill=key.paint if key.filled else None, outline=key.paint, width=2)
            draw.text((box[2] + 8, y + 3), legible(key.text), _INK, _font(14), "la")
        y += 24
    return page


def _rgb(paint: Colour) -> NDArray[np.float32]:
    return np.array(paint, dtype=np.float32)


def _lines(legend: Sequence[Key], width: int) -> list[list[tuple[int, Key]]]:
    lines: list[list[tuple[int, Key]]] = []
    x = width
    for key in legend:
        needs = 14 + 8 + round(_font(14).getlength(legible(key.text))) + 24
        if not lines or x + needs - 24 > width:
            lines.append([])
            x = 0
        lines[-1].append((x, key))
        x += needs
    return lines


def _fitting(text: str, size: int, width: int) -> str:
    text = legible(text)
    if _font(size).getlength(text) <= width:
        return text
    # No sheet has room for more, and each letter less is measured again.
    text = text[:200]
    while text and _font(size).getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."


def legible(text: str) -> str:
    """``text`` in what the font that Pillow brings along can show, on one line."""
    folded = unicodedata.normalize("NFKD", text)
    kept = (c for c in folded if not unicodedata.combining(c))
    return "".join(c if " " <= c <= "~" or c == "·" else "?" for c in kept)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
