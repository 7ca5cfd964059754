"""Intensities: what is brain, what is air, and the z-score that makes scanners comparable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mriseg.errors import InputError

Array = NDArray[Any]

# Below this share of voxels that equal the corner's value exactly, a volume is taken to have a
# measured (noisy) background rather than one that skull-stripping or masking has set.
_MASKED_SHARE = 0.55
# A voxel belongs to the head if its median over modalities, scaled so that the 1st and 99th
# percentiles are 0 and 1, is above this.
_HEAD_LEVEL = 0.12
# A head fills at most two thirds of its volume (LGG); of a crop within one (hippocampus), four
# fifths and more are brighter than air, and the rest is not air but liquor.
_CROP_SHARE = 0.75


def foreground(image: Array) -> Array:
    """The brain of a skull-stripped volume, or the head of one that is not.

    Args:
        image: [m, z, y, x], raw intensities, all finite.

    Returns:
        A boolean mask [z, y, x]. For a volume with a set background (all eight corners of every
        modality hold one value, and so does most of the volume) it is where any modality differs
        from it. Otherwise it is what is brighter than air: the median over modalities against a
        fixed level, holes filled slice by slice, the largest component kept. A crop with no air
        in it (more than three quarters would be kept) is foreground as a whole. An image that is
        constant gives an empty mask.
    """
    corners = image[
        :, :: image.shape[1] - 1 or 1, :: image.shape[2] - 1 or 1, :: image.shape[3] - 1 or 1
    ]
    background = corners.reshape(len(image), -1)[:, 0]
    same = image == background[:, None, None, None]
    if (
        corners.reshape(len(image), -1) == background[:, None]
    ).all() and same.mean() >= _MASKED_SHARE:
        return np.asarray(~same.all(axis=0))

    layers = []
    for channel in image:
        low, high = np.percentile(channel, (1, 99))
        if high > low:
            layers.append(np.clip((channel.astype(np.float32) - low) / (high - low), 0, 1))
    if not layers:
        return np.zeros(image.shape[1:], dtype=bool)
    # The median, since some scanners leave grey air in one modality of several.
    mask: Array = np.asarray(np.median(np.stack(layers), axis=0) > _HEAD_LEVEL)
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


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation of each modality over the foreground, in raw intensity units."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """This normalisation as JSON types."""
        return {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Normalisation:
        """The inverse of `to_json`."""
        return cls(tuple(data["mean"]), tuple(data["std"]))


def statistics(image: Array, mask: Array) -> Normalisation:
    """Mean and deviation of each modality of ``image`` [m, z, y, x] over ``mask`` [z, y, x].

    Raises:
        InputError: a modality is constant there, so that no z-score exists.
    """
    means, stds = [], []
    for index, channel in enumerate(image):
        values = channel[mask].astype(np.float64)
        mean, std = float(values.mean()), float(values.std())
        if not std > 1e-6 * max(1.0, abs(mean)):
            raise InputError(f"channel {index} is constant ({mean:g}) over the brain")
        means.append(mean)
        stds.append(std)
    return Normalisation(tuple(means), tuple(stds))


def normalise(image: Array, mask: Array, norm: Normalisation) -> NDArray[np.float32]:
    """Per-modality z-score of ``image`` [m, z, y, x] over ``mask``; voxels outside it become 0.

    Nought outside, as in nnU-Net (Isensee et al. 2021, arXiv 1904.08128), makes padding invisible:
    a slice in a larger frame looks the same as in its own.
    """
    shape = (-1, *([1] * (image.ndim - 1)))
    mean = np.asarray(norm.mean, dtype=np.float32).reshape(shape)
    std = np.asarray(norm.std, dtype=np.float32).reshape(shape)
    scaled: NDArray[np.float32] = (image.astype(np.float32) - mean) / std
    scaled *= mask
    return scaled
