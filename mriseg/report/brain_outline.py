"""The picture of a stripping: the outline of the brain on the whole head, to be looked at.

Whatever is done after a stripping is done within that outline, so where it is wrong, all is.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mriseg.core.outline import Outline
from mriseg.report.drawing import Key, Tile, colour, grey, sheet

Array = NDArray[Any]

_TILE = 240
# A crop to the head keeps grey levels above this, and so much of a side around it.
_AIR, _SPARE = 20, 0.03
# Without subsampling, which would wash a thin line's colour out.
_QUALITY = 85


def brain_outline(outline: Outline, title: str) -> bytes:
    """Slices of a head with the outline of its brain, as a JPEG.

    Args:
        outline: the slices.
        title: the picture's, such as the case.

    Returns:
        The file. Slices are in true proportion and numbered as in the whole scan in canonical axes.
    """
    file = io.BytesIO()
    drawn(outline, title).save(file, format="JPEG", quality=_QUALITY, subsampling=0)
    return file.getvalue()


def drawn(outline: Outline, title: str) -> Image.Image:
    """The picture of `brain_outline`, to be put under another."""
    level = grey(outline.head)
    cut = _cut((level > _AIR) | outline.brain)
    paint = colour(0)[1]
    size = _size(cut, outline.spacing)
    tiles = []
    for number, image, brain in zip(outline.numbers, level, outline.brain, strict=True):
        tile = Tile(image[cut], size)
        tile.outline(brain[cut], paint)
        tiles.append(tile.image(f"slice {number}"))
    by = f" by {outline.stripper}" if outline.stripper else ""
    on = f" on {outline.modality}" if outline.modality else ""
    key = Key(f"brain{by}{on}, {outline.volume}", paint, filled=False)
    return sheet([("", tiles)], title, legend=[key])


def _cut(shown: Array) -> tuple[slice, slice]:
    """The rows and columns that show something in any slice, and a little more."""
    parts = []
    for axis in (1, 2):
        held = np.flatnonzero(shown.any(axis=tuple({0, 1, 2} - {axis})))
        spare = round(_SPARE * shown.shape[axis]) + 1
        parts.append(slice(max(0, int(held[0]) - spare), int(held[-1]) + 1 + spare))
    return parts[0], parts[1]


def _size(cut: tuple[slice, slice], spacing: tuple[float, float]) -> tuple[int, int]:
    """The width and height of a tile in pixels, in true proportion."""
    sides = [(part.stop - part.start) * step for part, step in zip(cut, spacing, strict=True)]
    scale = _TILE / max(sides)
    return max(1, round(sides[1] * scale)), max(1, round(sides[0] * scale))
