"""Calibrated probabilities, and the threshold with the best Dice, from validation cases.

A loss that weighs positives makes a network overconfident. A linear map of its logits corrects
that (Platt 1999; for neural networks, Guo et al. 2017, arXiv 1706.04599), and can be folded into
the head's weights, so that prediction and export need not know of it. The threshold with the best
Dice differs from one half where errors cost unequally (Lipton et al. 2014, arXiv 1402.1892); it is
determined on the same cases.

Voxels are counted by logit and truth, and all that follows needs only the counts: they add up, and
are small whatever the number of voxels. Whether small components are mistakes shows only in whole
masks, and is tried on the same cases (as nnU-Net does for all but the largest: Isensee et al. 2021,
doi 10.1038/s41592-020-01008-z).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict
from scipy import optimize, special

from mriseg.core.metrics import Counts, count, dice
from mriseg.core.postprocess import components_of, is_minor, threshold
from mriseg.core.segnet import SegNet
from mriseg.core.settings import Fraction

BINS = 512
_LIMIT = 16.0  # in logits: beyond it a float32 probability is 0 or 1
_EDGES = np.linspace(-_LIMIT, _LIMIT, BINS + 1)
_CENTRES = (_EDGES[:-1] + _EDGES[1:]) / 2

# Half a logit to each side: the threshold comes from the middle of the good range, not from a peak
# that a handful of cases happens to have.
_SMOOTH = round(0.5 / (_EDGES[1] - _EDGES[0]))

FEWEST = 4
"""Cases with foreground that a calibration needs."""

MINOR = (0.0, 0.1, 0.3)
"""The minimum component sizes that are tried, as shares of the largest component."""

_TOLERANCE = 0.001  # of Dice

# The best threshold is half of the Dice that it gives (Lipton et al.). A network that has learnt
# nothing would segment everything, which scores a little better than nothing and is useless.
_LOWEST_THRESHOLD = 0.2

# Few cases, nearly all correct, would otherwise ask for a step function.
_MAX_SCALE = 4.0

Tally = NDArray[np.int64]
"""Voxels [2, BINS] of one case and region: of background and of foreground, by logit."""


@dataclass(frozen=True)
class Calibration:
    """How one region's logits become its mask.

    Attributes:
        scale: factor of the logits (Platt scaling).
        shift: added to them after that.
        threshold: a voxel is segmented above this probability, which is after scale and shift.
        min_component_share: minimum component size, as a share of the largest component.
    """

    # An unknown key is not a calibration of this mriseg, and its default would be a wrong one.
    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    scale: float = 1.0
    shift: float = 0.0
    threshold: Fraction = 0.5
    min_component_share: Fraction = 0.0

    @property
    def own_threshold(self) -> float:
        """The threshold as a probability of the network as trained, before scale and shift."""
        return float(special.expit((special.logit(self.threshold) - self.shift) / self.scale))


@dataclass(frozen=True)
class Calibrations:
    """The calibrations of a network's regions.

    Attributes:
        regions: one per region, in the order of the output channels.
    """

    regions: tuple[Calibration, ...]

    @property
    def thresholds(self) -> tuple[float, ...]:
        """The probability above which each region is segmented."""
        return tuple(region.threshold for region in self.regions)

    @property
    def min_component_shares(self) -> tuple[float, ...]:
        """Each region's minimum component size, as a share of its largest component."""
        return tuple(region.min_component_share for region in self.regions)

    @property
    def platt(self) -> tuple[tuple[float, float], ...]:
        """The scale and the shift of each region's logits."""
        return tuple((region.scale, region.shift) for region in self.regions)


def prior_calibration(weight: float) -> Calibration:
    """The calibration that follows from the loss alone, before any validation case.

    A cross-entropy in which positives weigh ``weight`` is least where the odds are that many times
    the true ones (Elkan 2001, "The foundations of cost-sensitive learning", section 3).
    """
    return Calibration(shift=-math.log(weight))


def tally(probabilities: NDArray[np.float32], truth: NDArray[np.uint8]) -> Tally:
    """Count the voxels of a case by logit and truth.

    Args:
        probabilities: of one region, any shape.
        truth: 0 and 1, the same shape.
    """
    logits = special.logit(probabilities.ravel().astype(np.float32)).clip(-_LIMIT, _LIMIT)
    place = ((logits + _LIMIT) * (BINS / (2 * _LIMIT))).astype(np.int64).clip(0, BINS - 1)
    place += BINS * (truth.ravel() > 0)
    return np.bincount(place, minlength=2 * BINS).reshape(2, BINS)


def dice_by_min_share(
    probabilities: NDArray[np.float32], truth: NDArray[np.uint8], level: float = 0.5
) -> tuple[float, ...]:
    """The Dice of a case for each share in `MINOR`.

    Args:
        probabilities: of one region [z, y, x].
        truth: 0 and 1, the same shape.
        level: a voxel is segmented above this probability.
    """
    mask = threshold(probabilities, level)
    whole = count(mask, truth)
    # True and false positives by component, so that one labelling of components serves all shares.
    components, sizes = components_of(mask)
    hits = np.bincount(components[truth > 0], minlength=len(sizes))
    scores = []
    for share in MINOR:
        removed = is_minor(sizes, share)
        removed[0] = False  # the background
        tp = whole.tp - int(hits[removed].sum())
        fp = whole.fp - int((sizes - hits)[removed].sum())
        scores.append(dice(Counts(tp, fp, whole.fn + whole.tp - tp)))
    return tuple(scores)


def calibrate(
    tallies: Sequence[Tally],
    dice_by_share: Sequence[Sequence[float]] = (),
    otherwise: Calibration | None = None,
    weights: Sequence[float] | None = None,
) -> Calibration:
    """The calibration of one region from validation cases.

    Scale and shift minimise the cross-entropy of all voxels. The threshold gives the best mean Dice
    over cases. Fewer than `FEWEST` cases with foreground are too few: what suits one patient does
    not suit the next.

    Args:
        tallies: one per case.
        dice_by_share: the result of `dice_by_min_share` for each case; none: all components stay.
        otherwise: the calibration where there are too few cases; None: the identity.
        weights: what each case counts, for the voxels as for Dice; a scan then counts the same
            whatever its size. None: each voxel and each case counts once.
    """
    if sum(bool(counts[1].any()) for counts in tallies) < FEWEST:
        return otherwise or Calibration()
    total = np.sum(tallies, axis=0) if weights is None else _balanced(tallies, weights)
    scale, shift = _platt(total)
    logits = scale * _EDGES[1:-1] + shift
    scores = _smooth(_mean_dice(tallies, weights))
    # Among thresholds that are practically as good as the best, the one nearest to one half.
    good = np.where(scores >= scores.max() - _TOLERANCE, np.abs(logits), np.inf)
    level = float(special.expit(logits[int(np.argmin(good))]))
    level = min(max(level, _LOWEST_THRESHOLD), 1 - _LOWEST_THRESHOLD)
    return Calibration(scale, shift, level, _min_share(dice_by_share, weights))


@torch.no_grad()
def apply_calibrations_(model: SegNet, calibrations: Mapping[int, Calibration]) -> SegNet:
    """Fold calibrations into the head of ``model``, in place, and return it.

    Args:
        model: with its weights.
        calibrations: by output channel; a channel without one stays as it is.
    """
    bias = model.head.bias
    assert bias is not None, "a SegNet's head has a bias"
    for channel, calibration in calibrations.items():
        model.head.weight[channel] *= calibration.scale
        bias[channel] = bias[channel] * calibration.scale + calibration.shift
    return model


def _balanced(tallies: Sequence[Tally], weights: Sequence[float]) -> NDArray[np.float64]:
    """The share of voxels [2, BINS] in each bin, of scans that count as much as their weights."""
    shares = [counts / max(counts.sum(), 1) for counts in tallies]
    return np.asarray(np.average(shares, axis=0, weights=weights), dtype=np.float64)


def _min_share(
    dice_by_share: Sequence[Sequence[float]], weights: Sequence[float] | None = None
) -> float:
    """The first share in `MINOR` that is practically as good as the best."""
    if not dice_by_share:
        return 0.0
    scores = np.average(dice_by_share, axis=0, weights=weights)
    return MINOR[int(np.argmax(scores >= scores.max() - _TOLERANCE))]


def _platt(total: NDArray[Any]) -> tuple[float, float]:
    """The scale and the shift of the logits with the least cross-entropy."""
    voxels = total.sum()

    def cross_entropy(parameters: NDArray[np.float64]) -> float:
        logits = np.exp(parameters[0]) * _CENTRES + parameters[1]
        costs = total[0] * np.logaddexp(0, logits) + total[1] * np.logaddexp(0, -logits)
        return float(costs.sum() / voxels)

    limit = np.log(_MAX_SCALE)
    optimum = optimize.minimize(
        cross_entropy,
        np.zeros(2),
        method="L-BFGS-B",
        bounds=[(-limit, limit), (-_LIMIT, _LIMIT)],
    )
    return float(np.exp(optimum.x[0])), float(optimum.x[1])


def _mean_dice(
    tallies: Sequence[Tally], weights: Sequence[float] | None = None
) -> NDArray[np.float64]:
    """The mean Dice over cases for a threshold at each inner edge of the bins."""
    scores = []
    for counts in tallies:
        # Voxels in the bins above each edge are segmented.
        false_positive, hit = counts[:, ::-1].cumsum(axis=1)[:, -2::-1]
        size = false_positive + hit + counts[1].sum()
        # Nothing to segment and nothing segmented is a Dice of 1, as in `mriseg.core.metrics.dice`.
        scores.append(np.where(size > 0, 2 * hit / np.maximum(size, 1), 1.0))
    return np.asarray(np.average(scores, axis=0, weights=weights), dtype=np.float64)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(values, _SMOOTH, mode="edge")
    window = np.full(2 * _SMOOTH + 1, 1 / (2 * _SMOOTH + 1))
    return np.convolve(padded, window, mode="valid")
