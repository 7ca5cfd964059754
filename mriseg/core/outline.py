"""A few slices of a head and of its brain, to judge a stripping by once the skull is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.volume import Geometry, Spacing, Volume, canonical
from mriseg.errors import InputError

Array = NDArray[Any]

# Shares of the brain's height at which it is cut: its base, its middle and its crown are where
# strippers go wrong in different ways.
_HEIGHTS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class Outline:
    """Slices of a head as it was before a stripping, and what was kept of them.

    Attributes:
        numbers: of the slices in the whole scan, in canonical axes.
        head: [n, y, x] raw intensities.
        brain: [n, y, x], what was kept.
        spacing: of the pixels (y, x).
        volume: of the whole brain.
        modality: of the scan.
        stripper: the name of what segmented the brain.
    """

    numbers: tuple[int, ...]
    head: Array
    brain: NDArray[np.bool_]
    spacing: Spacing
    volume: Volume
    modality: str = ""
    stripper: str = ""


def outlined(
    image: Array,
    brain: NDArray[np.bool_],
    geometry: Geometry,
    *,
    modality: str = "",
    stripper: str = "",
) -> Outline:
    """Three axial slices of a head with its brain.

    Args:
        image: [i, j, k] raw intensities as they were before the stripping, in the source's axes.
        brain: [i, j, k], what is kept of it.
        geometry: of both.
        modality: of the scan.
        stripper: the name of what segmented the brain.

    Raises:
        InputError: the arrays are not of that geometry, or no brain is in the mask.
    """
    if not brain.any():
        raise InputError("a brain of no voxels has no outline")
    head, inside = canonical(image, geometry), canonical(brain, geometry)
    heights = np.flatnonzero(inside.any(axis=(1, 2)))
    first, last = int(heights[0]), int(heights[-1])
    numbers = tuple(first + round(share * (last - first)) for share in _HEIGHTS)
    return Outline(
        numbers,
        # Copies, so that the whole scans are let go.
        head[list(numbers)].copy(),
        inside[list(numbers)].copy(),
        (geometry.spacing[1], geometry.spacing[2]),
        geometry.volume_of(int(brain.sum())),
        modality,
        stripper,
    )
