"""From probabilities to a mask: a threshold, and the removal of components too small to be real."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
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

    A probability equal to the level gives 0, so that an uncertain network (logit 0) segments
    nothing at 0.5.

    Args:
        probabilities: any shape.
        level: one for all; or one for each entry of the first axis.

    Raises:
        ConfigError: ``level`` is not in [0, 1).
    """
    levels = np.asarray(level)
    if not ((levels >= 0) & (levels < 1)).all():
        raise ConfigError(f"a threshold is at least 0 and below 1, not {level}; 0.5 is usual")
    levels = levels.reshape(levels.shape + (1,) * (probabilities.ndim - 1) * levels.ndim)
    # In the probabilities' own type, as a Python number would be.
    levels = levels.astype(probabilities.dtype)
    mask: NDArray[np.uint8] = (probabilities > levels).astype(np.uint8)
    return mask


def remove_minor_components(
    mask: NDArray[Any], share: float | Sequence[float]
) -> NDArray[np.uint8]:
    """Remove connected components that are small compared to the largest, region by region.

    False positives far from a tumour are small compared to it. Where there are many lesions of all
    sizes, as in multiple sclerosis, this would remove true ones; calibration determines whether it
    helps.

    Args:
        mask: 0/1 [r, z, y, x].
        share: components with at least this share of the voxels of the largest one are kept; one
            value for all regions or one per region; 0 keeps all.

    Returns:
        A new uint8 mask in the same shape; components as in `remove_small`.

    Raises:
        ConfigError: a share is not in [0, 1].
    """
    shares = np.broadcast_to(np.asarray(share, dtype=np.float64), len(mask))
    if not ((shares >= 0) & (shares <= 1)).all():
        raise ConfigError(f"a minimum share of the largest component is from 0 to 1, not {share}")
    kept: NDArray[np.uint8] = (mask != 0).astype(np.uint8)
    for region, min_share in zip(kept, shares, strict=True):
        if min_share > 0:
            _remove(region, partial(is_minor, share=min_share))
    return kept


def is_minor(sizes: NDArray[np.int64], share: float) -> NDArray[np.bool_]:
    """Which of these sizes are below ``share`` of the largest."""
    small: NDArray[np.bool_] = sizes < share * sizes.max()
    return small


def components_of(mask: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The 26-connected components of a mask [z, y, x].

    Returns:
        The number of each voxel's component, from 1, and 0 outside; and the sizes of the
        components in voxels, by number, where the size at 0 (outside) is 0.
    """
    components, _ = ndimage.label(mask, _TOUCHING)
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return components, sizes


def remove_small(
    mask: NDArray[Any], min_volume: float, voxel_volume: float = 1.0
) -> NDArray[np.uint8]:
    """Remove the connected components that are smaller than a volume, region by region.

    Args:
        mask: 0/1 [r, z, y, x], or [z, y, x] for one region.
        min_volume: components of at least this volume are kept; 0 keeps all.
        voxel_volume: of one voxel, in the same unit (mm cubed, mL); 1 to count voxels.

    Returns:
        A new uint8 mask in the same shape. Components are 3-D and 26-connected: voxels that touch
        by a corner belong together.

    Raises:
        ConfigError: a negative minimum, or a voxel volume that is not positive.
    """
    if not min_volume >= 0:
        raise ConfigError(f"a minimum volume is at least 0, not {min_volume}")
    if not voxel_volume > 0:
        raise ConfigError(f"the volume of a voxel must be above 0, not {voxel_volume}")
    kept: NDArray[np.uint8] = (mask != 0).astype(np.uint8)
    for region in kept.reshape(-1, *kept.shape[-3:]):
        if min_volume > 0:
            _remove(region, lambda sizes: sizes * voxel_volume < min_volume)
    return kept


def _remove(
    region: NDArray[np.uint8], small: Callable[[NDArray[np.int64]], NDArray[np.bool_]]
) -> None:
    """Clear the components of a region [z, y, x] whose sizes are ``small``, in place."""
    if region.any():
        # The crop is a view: clearing it clears ``region``.
        part = crop(region, bounding_box(region))
        components, sizes = components_of(part)
        part[small(sizes)[components]] = 0
