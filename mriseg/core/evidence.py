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
from scipy import special

from mriseg.core.metrics import count, dice
from mriseg.core.postprocess import components_of

BINS = 512
LIMIT = 16.0
"""Logits, from the threshold, that volumes are counted at."""


@dataclass(frozen=True)
class Evidence:
    """Of one region of one case.

    Attributes:
        expected: the Dice that the probabilities expect.
        agreement: mean Dice of a mirrored copy with their mean; None where there is one alone.
        unmoved: Dice of the masks before and after the refinement and the removal of components.
        voxels: of the mask.
        components: of the mask.
        above: int64 [BINS + 1], voxels whose logit lies above the threshold's by more than each of
            `offsets`; voxels that were removed with their component do not count.
    """

    expected: float
    agreement: float | None
    unmoved: float
    voxels: int
    components: int
    above: NDArray[np.int64]

    @property
    def score(self) -> float:
        """All of it together: 0 where nothing is certain, 1 where everything is."""
        return self.expected * self.unmoved * (1.0 if self.agreement is None else self.agreement)

    def volume_at(self, offset: float) -> int:
        """Voxels of a mask at the threshold's logit + ``offset``."""
        return int(np.interp(offset, offsets(), self.above).round())

    def offset_of(self, voxels: int) -> float:
        """How far from the threshold the mask has so many voxels, in logits; at most `LIMIT`."""
        if voxels > self.above[0]:
            return LIMIT
        same = np.flatnonzero(self.above == voxels)
        if same.size:
            return float(np.abs(offsets()[same]).min())
        after = int(np.argmax(self.above < voxels))
        steps = slice(after - 1, after + 1)
        return abs(float(np.interp(-voxels, -self.above[steps].astype(float), offsets()[steps])))


def offsets() -> NDArray[np.float64]:
    """The logits, relative to the threshold's, at which `Evidence.above` counts, ascending."""
    return np.linspace(-LIMIT, LIMIT, BINS + 1)


def evidence_of(
    probabilities: NDArray[np.float32],
    mask: NDArray[np.uint8],
    rough: NDArray[np.uint8],
    level: float,
    agreement: float | None,
) -> Evidence:
    """What one region of a case shows.

    Args:
        probabilities: [z, y, x], from which the mask was made.
        mask: 0 and 1 [z, y, x].
        rough: of the network alone, likewise.
        level: the probability above which a voxel was segmented.
        agreement: see `Evidence`.
    """
    chosen = mask > 0
    voxels = int(np.count_nonzero(chosen))
    removed = (probabilities > np.float32(level)) & ~chosen
    kept = probabilities[~removed & (probabilities > 0)].astype(np.float64)
    components = int(components_of(mask)[1].size - 1) if voxels else 0
    return Evidence(
        expected=_expected(probabilities, chosen, voxels),
        agreement=agreement,
        unmoved=dice(count(mask, rough)),
        voxels=voxels,
        components=components,
        above=_above(special.logit(kept) - special.logit(level)),
    )


def _expected(probabilities: NDArray[np.float32], chosen: NDArray[np.bool_], voxels: int) -> float:
    """The soft Dice, smoothed by one voxel so that a certain empty mask expects 1."""
    total = float(probabilities.sum(dtype=np.float64))
    hits = float(probabilities[chosen].sum(dtype=np.float64))
    return (2 * hits + 1) / (total + voxels + 1)


def _above(logits: NDArray[np.float64]) -> NDArray[np.int64]:
    counts, _ = np.histogram(logits.clip(-LIMIT, LIMIT), bins=offsets())
    return np.concatenate([counts[::-1].cumsum()[::-1], [0]])
