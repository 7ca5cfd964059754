"""How sure a segmentation is of itself: the values that a mask's record keeps of each region.

They are for the order in which people look at masks, and say nothing that a truth would not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Annotated, Protocol

from pydantic import Field

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Size = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class RegionCertainty:
    """How sure a segmentation is of one region of one case.

    Attributes:
        dice: predicted Dice, calibrated on validation patients; None where the model has no such
            calibration, where the mask was made otherwise than those, and where it is empty.
        expected_dice: the Dice that the probabilities themselves expect; not calibrated.
        volume_low: of the range in which the true volume should lie; mL, or voxels where the scan
            states no voxel size.
        volume_high: likewise.
        components: connected components of the mask (26-connected).
        covers: the share of patients whose true volume the range is calibrated to hold; None: it
            is not calibrated.
    """

    dice: Share | None
    expected_dice: Share
    volume_low: _Size
    volume_high: _Size
    components: Annotated[int, Field(ge=0)]
    covers: Share | None = None

    @property
    def likely_dice(self) -> float:
        """The calibrated Dice where there is one, else the expected one."""
        return self.expected_dice if self.dice is None else self.dice


class Certain(Protocol):
    """Whatever has certainties by region, such as a mask's record."""

    @property
    def certainty(self) -> Mapping[str, RegionCertainty]:
        """Region -> how sure its mask is."""


def uncertainty(of: Certain | Mapping[str, RegionCertainty]) -> float:
    """How uncertain a case is, from 0 to 1: 1 - the mean likely Dice of its regions.

    Args:
        of: the certainties by region, or what has them. Without any it is 1: nothing is known.
    """
    regions = of if isinstance(of, Mapping) else of.certainty
    return 1 - fmean(region.likely_dice for region in regions.values()) if regions else 1.0
