"""How far the mirrored copies of a case agree, counted batch by batch.

The spread over transformed copies of one image is what is uncertain of its segmentation (Wang et
al. 2019, doi 10.1016/j.neucom.2019.01.103), and the overlap of several segmentations of one image
predicts that with the truth (Roy et al. 2019, doi 10.1016/j.neuroimage.2019.03.042). Only counts
are kept, so that no copy of a whole case is in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.postprocess import threshold


class Copies:
    """Counts voxels in which copies agree with their mean.

    Args:
        levels: of each region, the probability above which a voxel is segmented.
    """

    def __init__(self, levels: Sequence[float]) -> None:
        self.levels = tuple(levels)
        self._mean: NDArray[np.int64] = np.zeros(len(self.levels), dtype=np.int64)
        self._sizes: NDArray[np.int64] = np.zeros((0, len(self.levels)), dtype=np.int64)
        self._shared = self._sizes

    def add(self, mean: NDArray[np.floating], masks: Sequence[NDArray[Any]]) -> None:
        """Count some slices.

        Args:
            mean: probabilities [b, r, h, w] of all copies together.
            masks: what each copy segments, 0 and 1 [b, r, h, w]; as many each time.
        """
        consensus = threshold(mean.swapaxes(0, 1), self.levels).swapaxes(0, 1)
        self._mean = self._mean + _per_region(consensus)
        sizes = np.stack([_per_region(mask) for mask in masks])
        shared = np.stack([_per_region(mask & consensus) for mask in masks])
        first = not len(self._sizes)
        self._sizes = sizes if first else self._sizes + sizes
        self._shared = shared if first else self._shared + shared

    @property
    def agreements(self) -> tuple[float | None, ...]:
        """For each region, the mean Dice of a copy with their mean; None where there is one alone.

        1 where nothing is segmented in any.
        """
        if len(self._sizes) < 2:
            return (None,) * len(self.levels)
        whole = self._sizes + self._mean
        dice = np.where(whole > 0, 2 * self._shared / np.maximum(whole, 1), 1.0)
        return tuple(dice.mean(axis=0).tolist())


def _per_region(masks: NDArray[Any]) -> NDArray[np.int64]:
    """Voxels of each region in [b, r, h, w]."""
    counts: NDArray[np.int64] = np.count_nonzero(masks, axis=(0, 2, 3))
    return counts
