"""The picture of a stripping: the outline of the brain on the whole head, to be looked at.

Whatever is done after a stripping is done within that outline, so where it is wrong, all is.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.volume import Geometry, canonical
from mriseg.errors import InputError
from mriseg.report.drawing import Key, Tile, colour, grey, sheet

Array = NDArray[Any]

_TILE = 240
# Shares of the brain's height at which it is cut: its base, its middle and its crown are where
# strippers go wrong in different ways.
_HEIGHTS = (0.25, 0.5, 0.75)
# A crop to the head keeps grey levels above this, and so much of a side around it.
_AIR, _SPARE = 20, 0.03
# Without subsampling, which would wash a thin line's colour out.
_QUALITY = 85


def brain_outline(
    image: Array, brain: NDArray[np.bool_], geometry: Geometry, title: str, stripper: str = ""
) -> bytes:
    """Three axial slices of a head with the outline of its brain, as a JPEG.

    Args:
        image: [i, j, k] raw intensities as they were before the stripping, in the source's axes.
        brain: [i, j, k], what is kept of it.
        geometry: of both.
        title: the picture's, such as the case and the modality.
        stripper: the name of what segmented the brain, for the legend.

    Returns:
        The file. Slices are in true proportion and numbered as in the whole scan in canonical axes.

    Raises:
        InputError: the arrays are not of that geometry, or no brain is in the mask.
    """
    if not brain.any():
        raise InputError("a brain of no voxels has no outline")
    head, inside = canonical(image, geometry), canonical(brain, geometry)
    heights = np.flatnonzero(inside.any(axis=(1, 2)))
    first, last = int(heights[0]), int(heights[-1])
    picked = [first + round(share * (last - first)) for share in _HEIGHTS]
    level = grey(head[picked])
    cut = _cut((level > _AIR) | inside[picked])
    paint = colour(0)[1]
    size = _size(cut, geometry.spacing[1:])
    tiles = []
    for number, z in enumerate(picked):
        tile = Tile(level[number][cut], size)
        tile.outline(inside[z][cut], paint)
        tiles.append(tile.image(f"slice {z}"))
    by = f" by {stripper}" if stripper else ""
    key = Key(f"brain{by}, {geometry.volume_of(int(brain.sum()))}", paint, filled=False)
    file = io.BytesIO()
    sheet([("", tiles)], title, legend=[key]).save(
        file, format="JPEG", quality=_QUALITY, subsampling=0
    )
    return file.getvalue()


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
