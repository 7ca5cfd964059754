"""Intensities: brain against air, and the z-score that makes scanners comparable."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mriseg.core.volume import Number
from mriseg.errors import InputError

Array = NDArray[Any]
# The modalities of a case, each [z, y, x]: apart, as files give them, or in one array.
Images = Sequence[Array] | Array

# If fewer voxels than this share exactly equal the corner's value, a volume is assumed to have a
# measured (noisy) background rather than one set by skull-stripping or masking.
_MASKED_SHARE = 0.55
# A voxel belongs to the head if its median over modalities, each scaled so that its 1st and 99th
# percentiles are 0 and 1, exceeds this.
_HEAD_LEVEL = 0.12
# A head fills at most two thirds of its volume (LGG). In a crop within a head (hippocampus), at
# least four fifths are brighter than air, and the rest is not air but cerebrospinal fluid.
_CROP_SHARE = 0.75
# Of n values, none is further from their mean than sqrt(n) standard deviations. With this limit and
# 2**31 voxels, differences fit float32 and z-scores fit float16 (46341 of 65504).
_MAX_STD = 1e30


def foreground(images: Images) -> Array:
    """The brain of a skull-stripped volume, or the head of one that is not.

    Args:
        images: each modality [z, y, x], raw intensities, all finite.

    Returns:
        A boolean mask [z, y, x]. If the background was set (in every modality all eight corners
        hold one value, and so does most of the volume), the mask is where any modality differs from
        it. Otherwise it is everything brighter than air: the median over modalities is compared
        with a fixed level, holes are filled slice by slice, and the largest component is kept. A
        crop without air (more than three quarters would be kept) is all foreground. A constant
        image gives an empty mask.
    """
    stripped = _differs_from_background(images)
    return _head(images) if stripped is None else stripped


def _differs_from_background(images: Images) -> Array | None:
    """Where any modality differs from its set background; None if a modality has none.

    Raw values are compared as they are: integer volumes are never converted to float.
    """
    backgrounds = []
    for image in images:
        corners = image[tuple(slice(None, None, length - 1 or 1) for length in image.shape)]
        if (corners != corners[0, 0, 0]).any():
            return None
        backgrounds.append(corners[0, 0, 0])
    outside: Array | None = None
    count = 0
    for image, background in zip(images, backgrounds, strict=True):
        equal = image == background
        count += int(np.count_nonzero(equal))
        outside = equal if outside is None else np.logical_and(outside, equal, out=outside)
    if outside is None or count < _MASKED_SHARE * len(images) * outside.size:
        return None
    return np.asarray(~outside)


def _head(images: Images) -> Array:
    """The largest component of everything brighter than air, without holes."""
    mask = _bright(images)
    if not mask.any():
        return mask
    opened = ndimage.binary_opening(mask, np.ones((1, 3, 3)), iterations=2)
    components, count = ndimage.label(opened if opened.any() else mask)
    if count > 1:
        sizes = np.bincount(components.ravel())
        sizes[0] = 0
        components = components == sizes.argmax()
    filled = np.stack([ndimage.binary_fill_holes(piece) for piece in components > 0])
    if filled.mean() > _CROP_SHARE:
        return np.ones(filled.shape, dtype=bool)
    return filled


def _bright(images: Images) -> Array:
    """Where the median over modalities, each scaled to its own range, exceeds the level of air.

    The median, because some scanners leave grey air in one of several modalities. Slice by slice,
    because the scaled modalities would take several times the scan's own memory.
    """
    # One common type, as if they were in one array.
    common = np.result_type(*images)
    ranges = [np.percentile(image.astype(common, copy=False), (1, 99)) for image in images]
    used = [(image, *ends) for image, ends in zip(images, ranges, strict=True) if ends[1] > ends[0]]
    mask = np.zeros(images[0].shape, dtype=bool)
    if not used:
        return mask
    for z, piece in enumerate(mask):
        layers = [
            np.clip((image[z].astype(np.float32) - low) / (high - low), 0, 1)
            for image, low, high in used
        ]
        # A majority above or below the level decides; only a tie needs the median itself.
        twice = 2 * np.sum([layer > _HEAD_LEVEL for layer in layers], axis=0)
        np.greater(twice, len(layers), out=piece)
        tied = twice == len(layers)
        if tied.any():
            piece[tied] = np.median([layer[tied] for layer in layers], axis=0) > _HEAD_LEVEL
    return mask


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each modality over the foreground, in raw intensity units."""

    mean: tuple[Number, ...]
    std: tuple[Number, ...]


def statistics(images: Images, mask: Array) -> Normalisation:
    """Mean and deviation of each modality [z, y, x] over ``mask`` [z, y, x], in float64.

    Raises:
        InputError: a modality is constant within ``mask``, so that no z-score exists, or its values
            are so large that float32 cannot hold their differences.
    """
    means, stds = [], []
    for index, image in enumerate(images):
        values = image[mask].astype(np.float64)
        mean = float(values.mean())
        values -= mean
        # Not a dot product, whose last bits depend on the number of BLAS threads.
        std = math.sqrt(float(np.square(values, out=values).mean()))
        if not std > 1e-6 * max(1.0, abs(mean)):
            raise InputError(f"channel {index} is constant ({mean:g}) over the brain")
        if std > _MAX_STD:
            raise InputError(
                f"channel {index} has a standard deviation of {std:g} over the brain: it is damaged"
            )
        means.append(mean)
        stds.append(std)
    return Normalisation(tuple(means), tuple(stds))


def normalise(
    images: Images,
    mask: Array,
    norm: Normalisation,
    dtype: type[np.float16 | np.float32] = np.float32,
) -> NDArray[np.float16 | np.float32]:
    """Per-modality z-scores over ``mask`` [z, y, x]; voxels outside it become 0.

    Zero outside, as in nnU-Net (Isensee et al. 2021, arXiv 1904.08128), makes padding invisible: a
    slice looks the same in a larger frame.

    Args:
        images: each modality [z, y, x].
        mask: the foreground.
        norm: mean and deviation of each modality.
        dtype: of the result; the computation is in float32.

    Returns:
        [m, z, y, x]. In memory z comes first: each slice is contiguous, as a store keeps it.
    """
    out = np.empty((len(mask), len(images), *mask.shape[1:]), dtype=dtype)
    for channel, (image, mean, std) in enumerate(zip(images, norm.mean, norm.std, strict=True)):
        # Slice by slice, to stay in the processor's cache.
        for z, inside in enumerate(mask):
            scaled = image[z].astype(np.float32)
            scaled -= np.float32(mean)
            scaled /= np.float32(std)
            scaled *= inside
            out[z, channel] = scaled
    return out.transpose(1, 0, 2, 3)
