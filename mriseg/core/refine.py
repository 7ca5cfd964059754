"""A network's answer, and what the scan's own intensities and the slices beside it say of that.

The network sees one slice at a time and has learnt how tumours look in other people's scans. In the
scan at hand it has marked some voxels surely and left others surely out, and these tell how what it
looks for looks here: the older way of segmenting, by mixtures of Gaussians over the intensities
with an atlas as the prior (Van Leemput et al. 1999, doi 10.1109/42.811270), or by a rough mask that
a user drew (GrabCut, Rother et al. 2004, doi 10.1145/1015706.1015720). Here the network is both.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

# All of these by measurement, see docs/results.md ("Refined by the scan itself").
# How much an intensity counts: less than by its likelihood, since voxels side by side repeat one
# another's noise. And no voxel's by more than the limit, in logits: what is unlike both is neither.
_WEIGHT = 0.8
_LIMIT = 6.0
# Of the Gaussian along each axis, in voxels, for the intensities and for what comes out.
_SIGMA = 0.7
# A voxel above the first says how what is looked for looks, one below the second how the rest does.
_SURE, _SURELY_NOT = 0.5, 0.05
# What is looked for is one Gaussian, the rest a mixture: grey, white, fluid, fat and vessels.
_WITHIN, _WITHOUT = 1, 5
_VOXELS = 10000
_FEWEST = 50  # of each Gaussian
# Added to variances of z-scores, so that a channel that is the same everywhere is no certainty.
_FLOOR = 0.02

# A network's logit beyond which it is as sure as can be.
_CERTAIN = 9.0
# Where the network is surer than this, the intensities could not turn it.
_DOUBTED = 7.0


def refine(
    probabilities: NDArray[np.float32],
    image: NDArray[np.floating],
    platt: Sequence[tuple[float, float]] = (),
) -> NDArray[np.float32]:
    """Probabilities that follow the scan's intensities, and vary smoothly from slice to slice.

    For each region the intensities of all channels together are modelled, within and without, from
    the voxels of which the network is sure (a Gaussian, and a mixture of five). The log-ratio of
    the two likelihoods is added to the network's logit, and a Gaussian of 0.7 voxels smooths the
    logits. Where the network marks next to nothing, or next to all, they are smoothed alone.

    Args:
        probabilities: of a network [r, z, y, x]. Where they are 0, nothing was computed, and they
            stay 0.
        image: z-scores [c, z, y, x], 0 outside of the head. What is no number counts as 0.
        platt: of each region, the scale and shift that a calibration gave its logits
            (`mriseg.core.calibration.Calibration`), which are taken off before and put back
            after, so that a calibration does not change what is done here. Empty: none has any.

    Returns:
        A new array in the same shape.
    """
    image = np.nan_to_num(image.astype(np.float32), posinf=0, neginf=0)
    inside: NDArray[np.bool_] = np.any(image != 0, axis=0)
    blurred = np.stack([_smooth(channel) for channel in image])
    out = np.zeros_like(probabilities, dtype=np.float32)
    for r, found in enumerate(probabilities):
        scale, shift = platt[r] if platt else (1.0, 0.0)
        logits = ((special.logit(found) - shift) / scale).clip(-_CERTAIN, _CERTAIN)
        logits += np.float32(_WEIGHT) * _ratio(blurred, special.expit(logits), inside)
        # Logits, not probabilities: what a slice is sure of would count no more than what its
        # neighbours guess, and a threshold would be right or wrong by a hair.
        turned = special.expit(scale * _smooth(logits) + shift)
        out[r] = np.where(found > 0, turned, 0)
    return out


def _smooth(values: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = ndimage.gaussian_filter(values, _SIGMA)
    return found


def _ratio(
    image: NDArray[np.float32], probability: NDArray[np.float32], inside: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The log-ratio [z, y, x] of an intensity's likelihood within the region and without.

    0 where the network is not to be turned, and everywhere if there is too little of either.
    """
    ratio = np.zeros(probability.shape, dtype=np.float32)
    within = image[:, inside & (probability > _SURE)].T
    without = image[:, inside & (probability < _SURELY_NOT)].T
    if len(within) < _FEWEST * _WITHIN or len(without) < _FEWEST * _WITHOUT:
        return ratio
    edge = special.expit(_DOUBTED)
    doubted = inside & (probability > 1 - edge) & (probability < edge)
    if not doubted.any():
        return ratio
    there = image[:, doubted].T
    log_ratio = _log_likelihood(within, _WITHIN, there) - _log_likelihood(without, _WITHOUT, there)
    ratio[doubted] = log_ratio.clip(-_LIMIT, _LIMIT)
    return ratio


def _log_likelihood(
    sample: NDArray[np.float32], gaussians: int, there: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Of each intensity ``there`` [n, c], by a mixture that is fitted to ``sample`` [m, c]."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    generator = np.random.default_rng(0)  # the same scan gives the same mask
    if len(sample) > _VOXELS:
        sample = sample[generator.choice(len(sample), _VOXELS, replace=False)]
    mixture = GaussianMixture(
        gaussians, reg_covar=_FLOOR, max_iter=50, init_params="k-means++", random_state=0
    )
    with warnings.catch_warnings():
        # A mixture that still moves a little after so many rounds serves as well.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(sample.astype(np.float64))
    found: NDArray[np.float64] = mixture.score_samples(there.astype(np.float64))
    return found
