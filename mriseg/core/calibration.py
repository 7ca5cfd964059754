"""Probabilities that mean what they say, and masks that suit Dice, from validation cases.

A loss that weighs positives makes a network too sure of them. A line through its logits puts that
right (Platt 1999; of networks, Guo et al. 2017, arXiv 1706.04599), and a line can be taken into
the head's weights, so that prediction and export need not know of it. The threshold that gives
the best Dice is another than one half where errors cost unequally (Lipton et al. 2014, arXiv
1402.1892); it is found on the same cases.

Voxels are counted by logit and truth, and all that follows needs the counts alone: they add up,
and are small whatever the number of voxels. Whether small components are mistakes is seen on whole
masks, and is tried on the same cases (as nnU-Net does for all but the largest: Isensee et al. 2021,
doi 10.1038/s41592-020-01008-z).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import optimize, special

from mriseg.core.metrics import Counts, count, dice
from mriseg.core.postprocess import components_of, is_minor, threshold
from mriseg.core.segnet import SegNet

BINS = 512
_LIMIT = 16.0  # in logits: beyond it a float32 probability is 0 or 1
_EDGES = np.linspace(-_LIMIT, _LIMIT, BINS + 1)
_CENTRES = (_EDGES[:-1] + _EDGES[1:]) / 2

# Half a logit to each side: a threshold is taken from the middle of what is good, not from a peak
# that a handful of cases happens to have.
_SMOOTH = round(0.5 / (_EDGES[1] - _EDGES[0]))

FEWEST = 4
"""Cases with foreground that a calibration needs."""

MINOR = (0.0, 0.1, 0.3)
"""Shares of the largest component below which others may be removed, as far as they are tried."""

_HAIR = 0.001  # of Dice

# The best threshold is half of the Dice that it gives (Lipton et al.). A network that has learnt
# nothing would mark everything: that is a little better than nothing, and of no use to anyone.
_LOWEST = 0.2

# Of the line's slope. Few cases, nearly all right, would else ask for a step.
_STEEPEST = 4.0

Tally = NDArray[np.int64]
"""Voxels [2, BINS] of one case and region: of background and of foreground, by logit."""


@dataclass(frozen=True)
class Calibration:
    """What is done to one region's logits, and from which probability on it is marked.

    Attributes:
        scale: a logit is multiplied by this,
        shift: and this is added.
        threshold: a voxel is marked above this probability, which is after scale and shift.
        min_component_share: components below this share of the largest one's size are removed.
    """

    scale: float = 1.0
    shift: float = 0.0
    threshold: float = 0.5
    min_component_share: float = 0.0

    @property
    def own_threshold(self) -> float:
        """The threshold as a probability of the network as trained, before scale and shift."""
        return float(special.expit((special.logit(self.threshold) - self.shift) / self.scale))

    def to_json(self) -> dict[str, float]:
        """This calibration as JSON types; ``Calibration(**data)`` is the inverse."""
        return asdict(self)


def prior_calibration(weight: float) -> Calibration:
    """What is known of a network's logits before any validation case is looked at.

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
        level: a voxel is marked above this probability.
    """
    mask = threshold(probabilities, level)
    whole = count(mask, truth)
    # Each component's own share of the hits and of the false alarms, so that one search for
    # components serves all shares.
    components, sizes = components_of(mask)
    hits = np.bincount(components[truth > 0], minlength=len(sizes))
    scores = []
    for share in MINOR:
        gone = is_minor(sizes, share)
        gone[0] = False  # the outside
        tp = whole.tp - int(hits[gone].sum())
        fp = whole.fp - int((sizes - hits)[gone].sum())
        scores.append(dice(Counts(tp, fp, whole.fn + whole.tp - tp)))
    return tuple(scores)


def calibrate(
    tallies: Sequence[Tally],
    dice_by_share: Sequence[Sequence[float]] = (),
    otherwise: Calibration | None = None,
) -> Calibration:
    """The line, the threshold and the smallest component of one region, from validation cases.

    The line minimises the cross-entropy of all voxels. The threshold gives the best mean Dice over
    cases. Where fewer than `FEWEST` cases have any foreground, neither is looked for: what suits
    one patient is not what suits the next.

    Args:
        tallies: one a case.
        dice_by_share: of each case, what `dice_by_min_share` gave; none: all components stay.
        otherwise: what holds where there are too few cases; None: nothing is changed.
    """
    if sum(bool(counts[1].any()) for counts in tallies) < FEWEST:
        return otherwise or Calibration()
    total = np.sum(tallies, axis=0)
    scale, shift = _line(total)
    logits = scale * _EDGES[1:-1] + shift
    scores = _smooth(_mean_dice(tallies))
    # As good as the best, but for a hair: of these the one nearest to a probability of one half.
    good = np.where(scores >= scores.max() - _HAIR, np.abs(logits), np.inf)
    level = float(special.expit(logits[int(np.argmin(good))]))
    return Calibration(
        scale, shift, min(max(level, _LOWEST), 1 - _LOWEST), _smallest(dice_by_share)
    )


def calibration_error(counts: Tally, calibration: Calibration, bins: int = 15) -> float:
    """The expected calibration error (Guo et al. 2017, equation 5), over ``bins`` equal widths.

    Args:
        counts: of one case, or the sum of several.
        calibration: what is done to the logits before.
        bins: how many.
    """
    probability = special.expit(calibration.scale * _CENTRES + calibration.shift)
    place = (probability * bins).astype(np.int64).clip(0, bins - 1)
    voxels = counts.sum(axis=0)
    said = np.bincount(place, weights=voxels * probability, minlength=bins)
    true = np.bincount(place, weights=counts[1], minlength=bins)
    return float(np.abs(said - true).sum() / max(int(voxels.sum()), 1))


@torch.no_grad()
def calibrated(model: SegNet, calibrations: Mapping[int, Calibration]) -> SegNet:
    """Take calibrations into the head of ``model``, in place, and return it.

    Args:
        model: with its weights.
        calibrations: by output channel; a channel without one stays as it is.
    """
    bias = model.head.bias
    assert bias is not None, "a SegNet's head has a bias"
    for channel, found in calibrations.items():
        model.head.weight[channel] *= found.scale
        bias[channel] = bias[channel] * found.scale + found.shift
    return model


def _smallest(dice_by_share: Sequence[Sequence[float]]) -> float:
    """The first share in `MINOR` that is as good as the best, but for a hair."""
    if not dice_by_share:
        return 0.0
    scores = np.mean(dice_by_share, axis=0)
    return MINOR[int(np.argmax(scores >= scores.max() - _HAIR))]


def _line(total: Tally) -> tuple[float, float]:
    voxels = total.sum()

    def cross_entropy(line: NDArray[np.float64]) -> float:
        logits = np.exp(line[0]) * _CENTRES + line[1]
        costs = total[0] * np.logaddexp(0, logits) + total[1] * np.logaddexp(0, -logits)
        return float(costs.sum() / voxels)

    limit = np.log(_STEEPEST)
    found = optimize.minimize(
        cross_entropy,
        np.zeros(2),
        method="L-BFGS-B",
        bounds=[(-limit, limit), (-_LIMIT, _LIMIT)],
    )
    return float(np.exp(found.x[0])), float(found.x[1])


def _mean_dice(tallies: Sequence[Tally]) -> NDArray[np.float64]:
    """The mean Dice over cases for a threshold at each inner edge."""
    scores = []
    for counts in tallies:
        # Voxels in the bins above each edge are marked.
        false_positive, hit = counts[:, ::-1].cumsum(axis=1)[:, -2::-1]
        size = false_positive + hit + counts[1].sum()
        # Nothing there and nothing marked is a Dice of 1, as in `mriseg.core.metrics.dice`.
        scores.append(np.where(size > 0, 2 * hit / np.maximum(size, 1), 1.0))
    return np.asarray(np.mean(scores, axis=0), dtype=np.float64)


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(values, _SMOOTH, mode="edge")
    window = np.full(2 * _SMOOTH + 1, 1 / (2 * _SMOOTH + 1))
    return np.convolve(padded, window, mode="valid")
