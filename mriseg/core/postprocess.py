"""From probabilities to a mask: a threshold, and the removal of what is too small to be real."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mriseg.core.volume import bounding_box, crop
from mriseg.errors import ConfigError

# Voxels that share a face, an edge or a corner are one component.
_TOUCHING = np.ones((3, 3, 3), dtype=bool)


def threshold(
    probabilities: NDArray[Any], level: float | Sequence[float] = 0.5
) -> NDArray[np.uint8]:
    """Where a probability exceeds ``level``, as uint8 0/1 in the same shape.

    Args:
        probabilities: any shape.
        level: one for all; or one for each entry of the first axis.

    At the level itself the answer is no, so that a network which knows nothing (logit 0) finds
    nothing.

    Raises:
        ConfigError: ``level`` is not in [0, 1).
    """
    levels = np.asarray(level)
    if not ((levels >= 0) & (levels < 1)).all():
        raise ConfigError(f"a threshold is at least 0 and below 1, not {level}; 0.5 is usual")
    levels = levels.reshape(levels.shape + (1,) * (probabilities.ndim - 1) * levels.ndim)
    # In the probabilities' own type, as a plain number would be.
    levels = levels.astype(probabilities.dtype)
    mask: NDArray[np.uint8] = (probabilities > levels).astype(np.uint8)
    return mask


def remove_small(
    mask: NDArray[Any], minimum_volume: float, voxel_volume: float = 1.0
) -> NDArray[np.uint8]:
    """Drop the connected components that are smaller than a volume, region by region.

    Args:
        mask: 0/1 [r, z, y, x], or [z, y, x] for one region.
        minimum_volume: components of at least this volume stay; 0 keeps all.
        voxel_volume: of one voxel, in the same unit (mm cubed, mL). At 1 the minimum counts voxels.

    Returns:
        A new uint8 mask in the same shape. Components are 3-D and 26-connected: voxels that touch
        by a corner belong together.

    Raises:
        ConfigError: a negative minimum, or a voxel volume that is not positive.
    """
    if not minimum_volume >= 0:
        raise ConfigError(f"a smallest volume is 0 or more, not {minimum_volume}")
    if not voxel_volume > 0:
        raise ConfigError(f"a voxel's volume is above 0, not {voxel_volume}")
    kept: NDArray[np.uint8] = (mask != 0).astype(np.uint8)
    for region in kept.reshape(-1, *kept.shape[-3:]):
        if minimum_volume > 0 and region.any():
            # The box is a view: what is cleared in it is cleared in ``kept``.
            part = crop(region, bounding_box(region))
            components, _ = ndimage.label(part, _TOUCHING)
            small = np.bincount(components.ravel()) * voxel_volume < minimum_volume
            part[small[components]] = 0
    return kept
