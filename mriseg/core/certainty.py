"""How sure a segmentation is of itself: predicted Dice, a range for the volume, a place in a queue.

The Dice that probabilities expect, the agreement of mirrored copies and how far the refinement
moved the mask (`mriseg.core.evidence`) rise and fall with the true Dice, but are on no scale of
it: a network is too sure of itself, mirrored copies share their mistakes. Validation patients, of
whom the truth is known, give the scale. There are few of them, so one number is fitted for each
region, and shrunk:

    Dice = (expected * agreement * unmoved) ** exponent

It is 0 where nothing is certain and 1 where everything is, whatever the exponent, so that it
cannot leave this range for a scan unlike those that it was fitted on.

The range is that of the volumes at two thresholds, as many logits below and above the usual one as
hold the true volume of eight in ten validation patients (split conformal prediction: Angelopoulos
and Bates 2021, arXiv 2107.07511, with the distance from the threshold as the score). Where
probabilities fall off gently the range is wide.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Annotated, Protocol

import numpy as np
from pydantic import ConfigDict, Field

from mriseg.core.evidence import LIMIT, Evidence

FEWEST = 4
"""Validation cases that have a mask of a region, which its calibration needs."""

COVERS = 0.8
"""The share of patients whose true volume a calibrated range is to hold."""

# The prior of the exponent is 1, the uncalibrated product, and weighs as a patient or two do whose
# product is 0.75.
_PRIOR, _PRIOR_WEIGHT = 1.0, 0.15
_MAX_EXPONENT = 4.0
# A Dice of 0 has no logarithm.
_LOWEST = 0.02
# Of a range that nothing calibrates: thresholds of 0.2 and 0.8 around one half.
_USUAL_OFFSET = math.log(4)
# What a flag weighs in the queue, in Dice.
_FLAG = 0.1

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


@dataclass(frozen=True)
class CertaintyMap:
    """The calibration of one region's certainty.

    Attributes:
        exponent: of the predicted Dice, see the module's text.
        error: mean absolute error of the predicted Dice of a validation patient, from the others.
        offset: logits from the threshold to those of the range.
        covers: the share of patients that the range was calibrated to.
        cases: validation cases that it is from.
    """

    # An unknown key is not a calibration of this mriseg, and its default would be a wrong one.
    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    exponent: Annotated[float, Field(ge=0, le=_MAX_EXPONENT)]
    error: Share
    offset: Annotated[float, Field(ge=0, le=LIMIT)]
    covers: Share
    cases: Annotated[int, Field(ge=1)]

    def dice(self, evidence: Evidence) -> float | None:
        """The predicted Dice; None for an empty mask, of which there is none to learn from."""
        return evidence.score**self.exponent if evidence.voxels else None


@dataclass(frozen=True)
class Known:
    """What is known of one region of a validation case.

    Attributes:
        evidence: of its mask.
        dice: of the mask with the truth.
        voxels: of the truth.
    """

    evidence: Evidence
    dice: float
    voxels: int


def fit(cases: Sequence[Known]) -> CertaintyMap | None:
    """The calibration of one region; None where fewer than `FEWEST` cases have a mask of it."""
    masked = [case for case in cases if case.evidence.voxels]
    if len(masked) < FEWEST:
        return None
    others = [_exponent([*masked[:i], *masked[i + 1 :]]) for i in range(len(masked))]
    errors = [
        abs(case.evidence.score**exponent - case.dice)
        for case, exponent in zip(masked, others, strict=True)
    ]
    # To the threshold at which a mask would have the volume of the truth.
    distances = sorted(case.evidence.offset_of(case.voxels) for case in masked)
    rank = min(math.ceil((len(masked) + 1) * COVERS), len(masked))
    return CertaintyMap(
        exponent=_exponent(masked),
        error=fmean(errors),
        offset=distances[rank - 1],
        covers=COVERS,
        cases=len(masked),
    )


def certainty_of(
    evidence: Evidence, calibration: CertaintyMap | None, voxel_volume: float
) -> RegionCertainty:
    """How sure a mask of one region is.

    Args:
        evidence: of it.
        calibration: of the region; None: there is none for a mask that was made like this one.
        voxel_volume: of one voxel, in mL, or 1 to count voxels.
    """
    offset = calibration.offset if calibration else _USUAL_OFFSET
    low, high = evidence.volume_at(offset), evidence.volume_at(-offset)
    return RegionCertainty(
        dice=calibration.dice(evidence) if calibration else None,
        expected_dice=evidence.expected,
        # The mask's own volume lies in it, however thresholds were rounded.
        volume_low=min(low, evidence.voxels) * voxel_volume,
        volume_high=max(high, evidence.voxels) * voxel_volume,
        components=evidence.components,
        covers=calibration.covers if calibration else None,
    )


class Certain(Protocol):
    """Whatever has certainties by region, such as a mask's record."""

    @property
    def certainty(self) -> Mapping[str, RegionCertainty]:
        """Region -> how sure its mask is."""


class Flagged(Certain, Protocol):
    """Whatever also has volumes and flags, such as a mask's record."""

    @property
    def volumes(self) -> Mapping[str, float]:
        """Region -> its volume."""

    @property
    def flags(self) -> Sequence[str]:
        """Why to look at it."""


def uncertainty(of: Certain | Mapping[str, RegionCertainty]) -> float:
    """How uncertain a case is, from 0 to 1: 1 - the mean likely Dice of its regions.

    Args:
        of: the certainties by region, or what has them. Without any it is 1: nothing is known.
    """
    regions = of if isinstance(of, Mapping) else of.certainty
    return 1 - fmean(region.likely_dice for region in regions.values()) if regions else 1.0


def urgency(of: Flagged, *, edited: bool = False) -> float:
    """How much a mask needs a look: what is highest is looked at first.

    Empty masks come first, then those of an uncertain case, of which each flag counts as a tenth
    of Dice. A mask that was edited since comes last: somebody has looked at it.

    Args:
        of: the mask's record.
        edited: whether its file was changed since.
    """
    if edited:
        return -1.0
    if not any(of.volumes.values()):
        return 2.0
    return min(uncertainty(of) + _FLAG * len(of.flags), 1.9)


def _exponent(cases: Sequence[Known]) -> float:
    """Ridge regression of the logarithms, through the point at which both are 1."""
    scores = np.log([max(case.evidence.score, _LOWEST) for case in cases])
    dices = np.log([max(case.dice, _LOWEST) for case in cases])
    best = float((scores @ dices + _PRIOR_WEIGHT * _PRIOR) / (scores @ scores + _PRIOR_WEIGHT))
    return min(max(best, 0.0), _MAX_EXPONENT)
