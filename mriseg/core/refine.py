"""Refine a network's probabilities by the scan's own intensities and by neighbouring slices.

The network sees one slice at a time and has learnt what tumours look like in other scans. In the
present scan it is certain about some voxels, inside and outside the region, and these show what the
region looks like in this scan. That is the classical approach to segmentation, with mixtures of
Gaussians over the intensities and an atlas as the prior (Van Leemput et al. 1999, doi
10.1109/42.811270) or a rough mask drawn by a user (GrabCut, Rother et al. 2004, doi
10.1145/1015706.1015720). Here the network replaces both.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, special

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

# All of these are measured, see docs/results.md ("Refined by the scan itself").
# Weight of the log-likelihood ratio: below 1, since neighbouring voxels share their noise. The
# ratio itself is limited, since an intensity unlike both models is evidence for neither.
_WEIGHT = 0.8
_MAX_RATIO = 6.0
# Sigma of the Gaussian along each axis, in voxels, for the intensities and for the final logits.
_SIGMA = 0.7
# Voxels with a probability above the first are samples of the region, those below the second are
# samples of the rest.
_INSIDE, _OUTSIDE = 0.5, 0.05
# The region is one Gaussian, the rest a mixture: grey matter, white matter, fluid, fat and vessels.
_REGION_GAUSSIANS, _REST_GAUSSIANS = 1, 5
_MAX_SAMPLES = 10000
_MIN_SAMPLES = 50  # per Gaussian
# Added to variances of z-scores, so that a constant channel does not give infinite likelihoods.
_VARIANCE_FLOOR = 0.02

# Logits of the network are limited to this.
_MAX_LOGIT = 9.0
# Where the network's logit is further from 0 than this, intensities could not change the result.
_MAX_DOUBTFUL_LOGIT = 7.0
# Voxels whose likelihoods are computed at a time.
_BLOCK = 2**14


def refine(
    probabilities: NDArray[np.float32],
    image: NDArray[np.floating],
    platt: Sequence[tuple[float, float]] = (),
) -> NDArray[np.float32]:
    """Probabilities that follow the scan's intensities, and vary smoothly from slice to slice.

    For each region, the joint intensities of all channels are modelled inside it (one Gaussian) and
    outside it (a mixture of five), from the voxels of which the network is certain. The log-ratio
    of the two likelihoods is added to the network's logits, and a Gaussian of 0.7 voxels smooths
    them. Where the network segments almost nothing or almost everything, logits are only smoothed.

    Args:
        probabilities: of a network [r, z, y, x]. Where they are 0, nothing was computed, and they
            stay 0.
        image: z-scores [c, z, y, x], 0 outside the head. NaN and infinity count as 0.
        platt: for each region, the scale and shift that calibration applied to its logits
            (`mriseg.core.calibration.Calibration`); removed before and re-applied after, so that
            the refinement does not depend on the calibration. Empty: no region has any.

    Returns:
        A new array in the same shape.
    """
    scan = _Scan(image)
    out = np.zeros_like(probabilities, dtype=np.float32)
    for r, probability in enumerate(probabilities):
        scale, shift = platt[r] if platt else (1.0, 0.0)
        logits = (special.logit(np.ascontiguousarray(probability)) - shift) / scale
        np.clip(logits, -_MAX_LOGIT, _MAX_LOGIT, out=logits)
        _add_ratio(logits, scan)
        # Logits are smoothed, not probabilities, in which a certain slice would count no more than
        # a guess of its neighbours, and many voxels would end up close to the threshold.
        refined = special.expit(scale * _smooth(logits) + shift)
        np.multiply(refined, probability > 0, out=out[r])
    return out


class _Scan:
    """The intensities of a scan, smoothed only if a region asks for them.

    Attributes:
        inside: where the head is [z, y, x].
    """

    def __init__(self, image: NDArray[np.floating]) -> None:
        image = np.asarray(image, dtype=np.float32)
        # To look takes a tenth of the time of the copy, and nearly every scan is finite.
        if not np.isfinite(image).all():
            image = np.nan_to_num(image, posinf=0, neginf=0)
        self._image = image
        self.inside: NDArray[np.bool_] = np.any(image != 0, axis=0)

    @cached_property
    def _blurred(self) -> NDArray[np.float32]:
        blurred = np.empty((len(self._image), self._image[0].size), dtype=np.float32)
        for channel, row in zip(self._image, blurred, strict=True):
            ndimage.gaussian_filter(channel, _SIGMA, output=row.reshape(channel.shape))
        return blurred

    def at(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """The smoothed intensities [n, c] of voxels, numbered as in a flat volume."""
        return self._blurred[:, places].T


def _smooth(values: NDArray[np.float32]) -> NDArray[np.float32]:
    smoothed: NDArray[np.float32] = ndimage.gaussian_filter(values, _SIGMA)
    return smoothed


def _add_ratio(logits: NDArray[np.float32], scan: _Scan) -> None:
    """Add the weighted log-ratio of the likelihoods of an intensity inside and outside the region.

    Nothing is added where the network is certain, and nowhere if there are too few samples of
    either.
    """
    probability = special.expit(logits)
    region = np.flatnonzero(scan.inside & (probability > _INSIDE))
    rest = np.flatnonzero(scan.inside & (probability < _OUTSIDE))
    if len(region) < _MIN_SAMPLES * _REGION_GAUSSIANS or len(rest) < _MIN_SAMPLES * _REST_GAUSSIANS:
        return
    limit = special.expit(_MAX_DOUBTFUL_LOGIT)
    doubtful = np.flatnonzero(
        scan.inside & (probability > 1 - limit) & (probability < limit),
    )
    of_region = _mixture(scan.at(_samples(region)), _REGION_GAUSSIANS)
    of_rest = _mixture(scan.at(_samples(rest)), _REST_GAUSSIANS)
    flat = logits.reshape(-1)
    # In blocks that stay in the processor's cache: the likelihoods take many times their memory.
    for start in range(0, len(doubtful), _BLOCK):
        places = doubtful[start : start + _BLOCK]
        intensities = scan.at(places).astype(np.float64)
        ratio = of_region.score_samples(intensities) - of_rest.score_samples(intensities)
        limited = ratio.clip(-_MAX_RATIO, _MAX_RATIO).astype(np.float32)
        flat[places] += np.float32(_WEIGHT) * limited


def _samples(places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Some of the voxels, or all if they are few."""
    generator = np.random.default_rng(0)  # the same scan gives the same mask
    if len(places) > _MAX_SAMPLES:
        return places[generator.choice(len(places), _MAX_SAMPLES, replace=False)]
    return places


def _mixture(samples: NDArray[np.float32], gaussians: int) -> GaussianMixture:
    """A mixture fitted to ``samples`` [m, c]."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(
        gaussians, reg_covar=_VARIANCE_FLOOR, max_iter=50, init_params="k-means++", random_state=0
    )
    with warnings.catch_warnings():
        # A mixture that has not fully converged after so many iterations serves as well.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(samples.astype(np.float64))
    return mixture
