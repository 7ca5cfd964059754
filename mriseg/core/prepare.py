"""From a case's raw arrays to a network's input, in one place for training and prediction."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core import intensity, volume
from mriseg.core.heads import UNCLEAR, Head
from mriseg.core.intensity import Normalisation
from mriseg.core.outline import Outline
from mriseg.core.preparation import SessionRecord
from mriseg.core.volume import Box, Geometry
from mriseg.errors import InputError

Array = NDArray[Any]

# A segmentation that covers nearly everything is an inverted or constant mask, not a finding.
_MAX_SEGMENTED_SHARE = 0.98
# Planes along the first axis that are digested at a time.
_DIGEST_PLANES = 32


@dataclass(frozen=True)
class PreparedCase:
    """A case ready for a network: canonical, normalised and cropped, and invertible.

    Attributes:
        image: [m, z, y, x] float16, z-scored; 0 outside the foreground.
        modalities: names of the channels.
        labels: [z, y, x] uint8 label values, or None.
        geometry: of the source.
        box: the position of the arrays in the canonical volume.
        normalisation: mean and deviation of each channel.
        session: what was done to its scans before; None: not known, or nothing.
        head: what its scans show, see `mriseg.core.heads`; not measured here.
        outline: of its brain on the head, where it was stripped just now.
    """

    image: Array
    modalities: tuple[str, ...]
    labels: Array | None
    geometry: Geometry
    box: Box
    normalisation: Normalisation
    session: SessionRecord | None = None
    head: Head = UNCLEAR
    outline: Outline | None = None

    def channels(self, modalities: tuple[str, ...]) -> NDArray[np.float32]:
        """The named channels [m, z, y, x]; a channel that the case lacks is 0, the brain's mean."""
        out = np.zeros((len(modalities), *self.image.shape[1:]), dtype=np.float32)
        for i, name in enumerate(modalities):
            if name in self.modalities:
                out[i] = self.image[self.modalities.index(name)]
        return out

    def only(self, modalities: Sequence[str]) -> PreparedCase:
        """This case with only the named modalities, as far as it has them.

        Raises:
            InputError: no modality is left.
        """
        kept = [i for i, name in enumerate(self.modalities) if name in modalities]
        if not kept:
            raise InputError(
                f"it has {', '.join(self.modalities)}: nothing is left with {', '.join(modalities)}"
            )
        norm = self.normalisation
        return replace(
            self,
            image=self.image[kept],
            modalities=tuple(self.modalities[i] for i in kept),
            normalisation=Normalisation(
                tuple(norm.mean[i] for i in kept), tuple(norm.std[i] for i in kept)
            ),
        )

    @property
    def corrupt_slices(self) -> tuple[int, ...]:
        """The slices z with NaN or infinity. `prepare` produces none; damaged storage may."""
        return tuple(np.flatnonzero(~np.isfinite(self.image).all(axis=(0, 2, 3))).tolist())

    def to_source(self, masks: Array) -> Array:
        """Arrays [r, z, y, x] on the cropped grid, brought to the source's grid [r, i, j, k]."""
        whole = volume.uncrop(masks, self.box, self.geometry.canonical_shape)
        return np.stack([volume.uncanonical(mask, self.geometry) for mask in whole])


def prepare(images: Mapping[str, Array], labels: Array | None, geometry: Geometry) -> PreparedCase:
    """Canonical axes, foreground, z-score over it, and the crop to its box.

    Args:
        images: modality name -> raw intensities in the source's axes.
        labels: label values in the source's axes, or None.
        geometry: of all of them.

    Raises:
        InputError: the brain is empty, a modality is constant over it, the segmentation covers
            everything, or slices are larger than those of any head scan.
    """
    views = [volume.canonical(image, geometry) for image in images.values()]
    turned = None if labels is None else volume.canonical(labels, geometry)
    segmented = None if turned is None else turned > 0
    if (
        segmented is not None
        and np.count_nonzero(segmented) > _MAX_SEGMENTED_SHARE * segmented.size
    ):
        raise InputError("the segmentation covers the whole volume; is it inverted, or an image?")
    mask = intensity.foreground(views)
    if not mask.any():
        raise InputError("the brain is empty: every modality is constant")
    # A lesion at the rim of an imperfect brain mask must not be cropped.
    box = volume.bounding_box(mask if segmented is None else mask | segmented)
    if max(box.shape[1:]) > volume.MAX_SIDE:
        raise InputError(
            f"its slices are {box.shape[1]} x {box.shape[2]} voxels, larger than in any scan of a "
            f"head; at most {volume.MAX_SIDE} per side are accepted"
        )
    # From now on only the crop is read; it contains all of the foreground.
    crops, inside = [volume.crop(view, box) for view in views], volume.crop(mask, box)
    names = tuple(images)
    try:
        norm = intensity.statistics(crops, inside)
    except InputError as error:
        raise InputError(f"{error} (channels: {', '.join(names)})") from None
    # In float16 as in a store, so that a scan's files and its stored case give the same mask.
    image = intensity.normalise(crops, inside, norm, np.float16)
    cropped = None if turned is None else np.ascontiguousarray(volume.crop(turned, box))
    return PreparedCase(image, names, cropped, geometry, box, norm)


def content_digest(images: Mapping[str, Array]) -> str:
    """A digest of the voxels of the first modality by name: equal digests mean the same scan.

    Only one modality, so that a copy of a scan without another modality is still recognised.
    """
    array = images[min(images)]
    digest = hashlib.sha256()
    # In blocks that fit a processor's cache. In a NIfTI file, whose first axis is the fastest in
    # memory, a block holds whole cache lines.
    for start in range(0, len(array), _DIGEST_PLANES):
        block = array[start : start + _DIGEST_PLANES]
        digest.update(np.ascontiguousarray(block, dtype=np.float32).data)
    digest.update(str(array.shape).encode())
    return digest.hexdigest()
