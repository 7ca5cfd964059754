"""How far the surfaces of two masks lie apart: HD95, ASSD and the normalised surface Dice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mriseg.core.volume import bounding_box, crop, foreground
from mriseg.errors import ConfigError, InputError

Array = NDArray[Any]

TOLERANCE = 2.0
"""Of the normalised surface Dice, in the unit of the spacing: 2 mm, or 2 voxels."""

# Voxel sizes come from single-precision headers: two voxels of 1.0000001 mm are within 2 mm.
_SLACK = 1e-5


@dataclass(frozen=True)
class SurfaceDistances:
    """How far two surfaces lie apart.

    Attributes:
        hd95: the 95 % Hausdorff distance, in the unit of the spacing.
        assd: the average symmetric surface distance, in the unit of the spacing.
        nsd: the normalised surface Dice, from 0 to 1.
    """

    hd95: float
    assd: float
    nsd: float


def surface_distances(
    prediction: Array,
    target: Array,
    spacing: tuple[float, float, float],
    tolerance: float = TOLERANCE,
) -> SurfaceDistances:
    """Distances between the surfaces of two masks.

    A mask's surface is its voxels that share a face with the background (the outside of the volume
    counts as background), and a distance is that from a surface voxel's centre to the nearest one
    of the other surface.

    HD95 is the larger of the two directed 95th percentiles, as "Metrics reloaded" defines it
    (Maier-Hein et al. 2024, arXiv 2206.01653) and MONAI computes it, between the same voxels.
    DeepMind's surface-distance has the same rule and not the same number: it measures between
    surface elements that lie between voxels, weighted by their area. MedPy takes one percentile
    over both directions pooled, which lies between the two. ASSD is the mean over the voxels of
    both surfaces together, as in "Metrics reloaded".

    NSD is the share of both surfaces' voxels that lie within ``tolerance`` of the other surface
    (Nikolov et al. 2021, arXiv 1809.04430), counted voxel by voxel as MONAI does; the paper weights
    surface elements by area. It takes the tolerance from how far experts differ. 2 mm is a
    convention: a score at another tolerance is another score.

    Args:
        prediction: a mask [z, y, x].
        target: the truth, in the same shape.
        spacing: voxel size along (z, y, x).
        tolerance: of NSD, in the unit of ``spacing``; a distance equal to it is within.

    Returns:
        All three. HD95 and ASSD are 0 if both masks are empty and nan if one is; NSD is then 1
        and 0.

    Raises:
        InputError: the shapes differ, or are not 3-D.
        ConfigError: ``tolerance`` is negative or nan.
    """
    if not tolerance >= 0:
        raise ConfigError(f"a tolerance is 0 or more, not {tolerance}; {TOLERANCE:g} is usual")
    prediction, target = foreground(prediction, target)
    if prediction.ndim != 3:
        raise InputError(f"surfaces are measured between 3-D masks, not {prediction.ndim}-D ones")
    some = bool(prediction.any()), bool(target.any())
    if not any(some):
        return SurfaceDistances(0.0, 0.0, 1.0)
    if not all(some):
        return SurfaceDistances(math.nan, math.nan, 0.0)
    # Nothing outside the box is nearer than something in it, and its border is a surface anyway.
    box = bounding_box(prediction | target)
    a, b = _surface(crop(prediction, box)), _surface(crop(target, box))
    from_a = ndimage.distance_transform_edt(~b, sampling=spacing)[a]
    from_b = ndimage.distance_transform_edt(~a, sampling=spacing)[b]
    voxels, limit = from_a.size + from_b.size, tolerance * (1 + _SLACK)
    near = np.count_nonzero(from_a <= limit) + np.count_nonzero(from_b <= limit)
    return SurfaceDistances(
        hd95=float(max(np.percentile(from_a, 95), np.percentile(from_b, 95))),
        assd=float((from_a.sum() + from_b.sum()) / voxels),
        nsd=float(near / voxels),
    )


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    surface: NDArray[np.bool_] = mask & ~ndimage.binary_erosion(mask)
    return surface
