"""What a segmentation itself shows of how good it is, without a truth.

- the Dice that its probabilities expect, 2 sum(p m) / (sum(p) + sum(m)) (the soft Dice confidence:
  Borges et al. 2024, arXiv 2402.10665)
- how far the mirrored copies agree (`mriseg.core.copies`)
- how far the refinement moved the mask (`mriseg.core.refine`): where it moved it far, the network
  and the scan's own intensities say different things
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mriseg.core.metrics import count, dice
from mriseg.core.postprocess import components_of
from mriseg.core.volume import bounding_box, crop


@dataclass(frozen=True)
class Evidence:
    """Of one region of one case.

    Attributes:
        expected: the Dice that the probabilities expect.
        agreement: mean Dice of a mirrored copy with their mean; None where there is one alone.
        unmoved: Dice of the masks before and after the refinement and the removal of components.
        voxels: of the mask.
        mass: the sum of the probabilities: the voxels that they expect.
        components: of the mask.
    """

    expected: float
    agreement: float | None
    unmoved: float
    voxels: int
    mass: float
    components: int


def evidence_of(
    probabilities: NDArray[np.float32],
    mask: NDArray[np.uint8],
    rough: NDArray[np.uint8],
    agreement: float | None,
) -> Evidence:
    """What one region of a case shows.

    Args:
        probabilities: [z, y, x], from which the mask was made.
        mask: 0 and 1 [z, y, x].
        rough: of the network alone, likewise.
        agreement: see `Evidence`.
    """
    chosen = mask > 0
    voxels = int(np.count_nonzero(chosen))
    mass = float(probabilities.sum(dtype=np.float64))
    hits = float(probabilities[chosen].sum(dtype=np.float64))
    return Evidence(
        # Smoothed by one voxel, so that a certain empty mask expects 1.
        expected=min((2 * hits + 1) / (mass + voxels + 1), 1.0),
        agreement=agreement,
        unmoved=dice(count(mask, rough)),
        voxels=voxels,
        mass=mass,
        components=components_of(crop(mask, bounding_box(chosen)))[1].size - 1 if voxels else 0,
    )
