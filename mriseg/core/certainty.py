"""How sure a segmentation is of itself: predicted Dice, a range for the volume, a place in a queue.

The Dice that probabilities expect, the agreement of mirrored copies and how far the refinement
moved the mask (`mriseg.core.evidence`) rise and fall with the true Dice, but are on no scale of
it: a network is too sure of itself, mirrored copies share their mistakes. Validation patients, of
whom the truth is known, give the scale. There are few of them, so one number is fitted for each
region, and shrunk:

    Dice = (expected * agreement * unmoved) ** exponent

It is 0 where nothing is certain and 1 where everything is, whatever the exponent, so that it
cannot leave this range for a scan unlike those that it was fitted on.

Masks of the volumes V and T cannot have a Dice above 2 min(V, T) / (V + T), so where the Dice is d
at least, T lies between V d / (2 - d) and V (2 - d) / d. The range is that of a Dice which eight in
ten validation patients reach, relative to the predicted one (split conformal prediction:
Angelopoulos and Bates 2021, arXiv 2107.07511). Masks of one volume may well differ, so it is rather
too wide than too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Annotated, Protocol

import numpy as np
from pydantic import ConfigDict, Field

from mriseg.core.evidence import Evidence

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
        reached: the share of its predicted Dice that a case reaches, but for the worst two in ten.
        covers: the share of patients that the range was calibrated to.
        cases: validation cases that it is from.
    """

    # An unknown key is not a calibration of this mriseg, and its default would be a wrong one.
    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    exponent: Annotated[float, Field(ge=0, le=_MAX_EXPONENT)]
    error: Share
    reached: Share
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
    """

    evidence: Evidence
    dice: float


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
    # A conformal quantile counts the new case as one more; with few cases it is the worst of them.
    rank = math.floor((len(masked) + 1) * (1 - COVERS) + 1e-9)
    exponent = _exponent(masked)
    shares = sorted(case.dice / max(case.evidence.score**exponent, _LOWEST) for case in masked)
    return CertaintyMap(
        exponent=exponent,
        error=fmean(errors),
        reached=min(shares[max(rank, 1) - 1], 1.0),
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
    dice = calibration.dice(evidence) if calibration else None
    likely = evidence.expected if dice is None else dice
    low, high = _range(evidence, likely * (calibration.reached if calibration else 1.0))
    return RegionCertainty(
        dice=dice,
        expected_dice=evidence.expected,
        volume_low=low * voxel_volume,
        volume_high=high * voxel_volume,
        components=evidence.components,
        covers=calibration.covers if calibration and dice is not None else None,
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


def _range(evidence: Evidence, dice: float) -> tuple[float, float]:
    """The volumes, in voxels, that a truth may have whose Dice with the mask is ``dice``."""
    if not evidence.voxels:
        return 0.0, evidence.mass
    share = max(dice, _LOWEST) / (2 - max(dice, _LOWEST))
    return evidence.voxels * share, evidence.voxels / share


def _exponent(cases: Sequence[Known]) -> float:
    """Ridge regression of the logarithms, through the point at which both are 1."""
    scores = np.log([max(case.evidence.score, _LOWEST) for case in cases])
    dices = np.log([max(case.dice, _LOWEST) for case in cases])
    best = float((scores @ dices + _PRIOR_WEIGHT * _PRIOR) / (scores @ scores + _PRIOR_WEIGHT))
    return min(max(best, 0.0), _MAX_EXPONENT)
