"""Volumes: where an array lies in space, the canonical axes, normalisation, crop, pad, and back.

Canonical axes are ``z y x`` with z from inferior to superior, y from anterior to posterior and x
from the patient's right to left (NIfTI's L, P, S read backwards): a slice ``[y, x]`` looks as a
radiologist expects it, and slices come first because slices are what is read. Every step keeps
what its inverse needs, so that a mask goes back onto the scan voxel for voxel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mriseg.errors import ConfigError, InputError

Array = NDArray[Any]
Affine = tuple[tuple[float, float, float, float], ...]


@dataclass(frozen=True)
class Geometry:
    """Where a source array lies in space, and how its axes become the canonical ones.

    Attributes:
        shape: the source array's shape, in the source's own axis order (3 numbers).
        affine: the source's 4x4 voxel-to-world matrix, by rows.
        axes: for each canonical axis (z, y, x), the source axis that it is.
        flips: for each canonical axis, whether the source runs the other way.
        unit: "mm", or "px" where the source states no voxel size.
        ndim: how many axes the source file itself has (2 for a single slice, 3 otherwise); its
            array is brought to 3 by the reader.
    """

    shape: tuple[int, int, int]
    affine: Affine
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    unit: str = "mm"
    ndim: int = 3

    def __post_init__(self) -> None:
        if sorted(self.axes) != [0, 1, 2]:
            raise InputError(f"a geometry's axes are an order of 0, 1, 2, not {self.axes}")

    @property
    def canonical_shape(self) -> tuple[int, int, int]:
        """The shape in canonical axes (z, y, x)."""
        z, y, x = (self.shape[axis] for axis in self.axes)
        return (z, y, x)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size along the canonical axes (z, y, x), in ``unit``."""
        columns = np.linalg.norm(np.asarray(self.affine)[:3, :3], axis=0)
        z, y, x = (float(columns[axis]) for axis in self.axes)
        return (z, y, x)

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel, in ``unit`` cubed (the determinant: shears count)."""
        return float(abs(np.linalg.det(np.asarray(self.affine)[:3, :3])))

    def to_json(self) -> dict[str, Any]:
        """This geometry as JSON types."""
        return {
            "shape": list(self.shape),
            "affine": [list(row) for row in self.affine],
            "axes": list(self.axes),
            "flips": list(self.flips),
            "unit": self.unit,
            "ndim": self.ndim,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Geometry:
        """The inverse of `to_json`."""
        return cls(
            shape=tuple(data["shape"]),
            affine=tuple(tuple(float(v) for v in row) for row in data["affine"]),
            axes=tuple(data["axes"]),
            flips=tuple(data["flips"]),
            unit=data["unit"],
            ndim=data["ndim"],
        )


def canonical(array: Array, geometry: Geometry) -> Array:
    """A source array as a view in canonical axes (z, y, x)."""
    if array.shape != geometry.shape:
        raise InputError(f"an array of shape {array.shape} has not the geometry of {geometry.shape}")
    turned = array.transpose(geometry.axes)
    return turned[tuple(slice(None, None, -1 if flip else 1) for flip in geometry.flips)]


def uncanonical(array: Array, geometry: Geometry) -> Array:
    """The inverse of `canonical`: canonical axes (z, y, x) back to the source's own."""
    if array.shape != geometry.canonical_shape:
        raise InputError(
            f"an array of shape {array.shape} is not on the canonical grid "
            f"{geometry.canonical_shape} of this geometry"
        )
    turned = array[tuple(slice(None, None, -1 if flip else 1) for flip in geometry.flips)]
    back: tuple[int, ...] = tuple(int(i) for i in np.argsort(geometry.axes))
    return turned.transpose(back)


@dataclass(frozen=True)
class Box:
    """A box of voxels: ``start`` included, ``stop`` not, per axis."""

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        z, y, x = (b - a for a, b in zip(self.start, self.stop, strict=True))
        return (z, y, x)

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index."""
        z, y, x = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return (z, y, x)

    def to_json(self) -> dict[str, Any]:
        """This box as JSON types."""
        return {"start": list(self.start), "stop": list(self.stop)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Box:
        """The inverse of `to_json`."""
        return cls(tuple(data["start"]), tuple(data["stop"]))


def bounding_box(mask: Array) -> Box:
    """The smallest box that holds every true voxel of a 3-D mask. Raises InputError if none is."""
    start, stop = [], []
    for axis in range(3):
        other = tuple(a for a in range(3) if a != axis)
        found = np.flatnonzero(mask.any(axis=other))
        if not found.size:
            raise InputError("the mask is empty, so it has no bounding box")
        start.append(int(found[0]))
        stop.append(int(found[-1]) + 1)
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def crop(array: Array, box: Box) -> Array:
    """The part of ``array`` [..., z, y, x] that lies in ``box``, a view."""
    return array[(..., *box.slices)]


def uncrop(array: Array, box: Box, shape: tuple[int, int, int], fill: float = 0) -> Array:
    """The inverse of `crop`: ``array`` [..., z, y, x] in a volume of ``shape`` filled with ``fill``."""
    if array.shape[-3:] != box.shape:
        raise InputError(f"an array of shape {array.shape} does not fill a box of {box.shape}")
    whole = np.full((*array.shape[:-3], *shape), fill, dtype=array.dtype)
    whole[(..., *box.slices)] = array
    return whole


@dataclass(frozen=True)
class Pad:
    """How a slice [h, w] is centred in a larger or smaller frame.

    Positive numbers pad, negative ones crop; in the order (top, bottom, left, right).
    """

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def to(cls, shape: tuple[int, int], target: tuple[int, int]) -> Pad:
        """The pad that centres ``shape`` in ``target`` (h, w)."""
        h, w = target[0] - shape[0], target[1] - shape[1]
        return cls(h // 2, h - h // 2, w // 2, w - w // 2)

    def inverse(self) -> Pad:
        """The pad that undoes this one (what was cropped comes back as the fill)."""
        return Pad(-self.top, -self.bottom, -self.left, -self.right)

    def apply(self, array: Array, fill: float = 0) -> Array:
        """Pad or crop the last two axes of ``array``."""
        h, w = array.shape[-2:]
        cut = array[
            ...,
            max(0, -self.top) : h - max(0, -self.bottom),
            max(0, -self.left) : w - max(0, -self.right),
        ]
        widths = [(0, 0)] * (array.ndim - 2)
        widths += [(max(0, self.top), max(0, self.bottom)), (max(0, self.left), max(0, self.right))]
        if not any(sum(pair) for pair in widths):
            return cut
        return np.pad(cut, widths, constant_values=fill)


def round_up(size: int, multiple: int) -> int:
    """``size`` rounded up to a multiple of ``multiple``."""
    return math.ceil(size / multiple) * multiple


# Below this share of voxels that equal the corner's value exactly, a volume is taken to have a
# measured (noisy) background rather than one that skull-stripping or masking has set.
_MASKED_SHARE = 0.55
# A voxel belongs to the head if its mean over modalities, scaled so that the 1st and 99th
# percentiles are 0 and 1, is above this.
_HEAD_LEVEL = 0.12


def foreground(image: Array) -> Array:
    """The brain of a skull-stripped volume, or the head of one that is not.

    Args:
        image: [m, z, y, x], raw intensities, all finite.

    Returns:
        A boolean mask [z, y, x]. For a volume with a set background (all eight corners of every
        modality hold one value, and so does most of the volume) it is where any modality differs
        from it. Otherwise it is what is brighter than air: the mean over modalities against a
        fixed level, holes filled slice by slice, the largest component kept. A crop with no air
        in it (more than nine tenths would be kept) is foreground as a whole. An image that is
        constant gives an empty mask.
    """
    corners = image[:, :: image.shape[1] - 1 or 1, :: image.shape[2] - 1 or 1, :: image.shape[3] - 1 or 1]
    background = corners.reshape(len(image), -1)[:, 0]
    same = image == background[:, None, None, None]
    if (corners.reshape(len(image), -1) == background[:, None]).all() and same.mean() >= _MASKED_SHARE:
        return np.asarray(~same.all(axis=0))

    scaled = np.zeros(image.shape[1:], dtype=np.float32)
    for channel in image:
        low, high = np.percentile(channel, (1, 99))
        if high > low:
            scaled += np.clip((channel.astype(np.float32) - low) / (high - low), 0, 1)
    scaled /= len(image)
    mask = scaled > _HEAD_LEVEL
    if not mask.any():
        return mask
    opened = ndimage.binary_opening(mask, np.ones((1, 3, 3)), iterations=2)
    components, count = ndimage.label(opened if opened.any() else mask)
    if count > 1:
        sizes = np.bincount(components.ravel())
        sizes[0] = 0
        components = components == sizes.argmax()
    filled = np.stack([ndimage.binary_fill_holes(piece) for piece in components > 0])
    if filled.mean() > 0.9:
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


@dataclass(frozen=True, order=True)
class SliceRef:
    """One slice of one case, in the store's order."""

    case: str
    slice: int


def region_masks(labels: Array, regions: dict[str, tuple[int, ...]]) -> NDArray[np.uint8]:
    """A mask per region.

    Args:
        labels: integer labels [..., h, w].
        regions: name -> the label values that the region unites; its order is the channels'.

    Returns:
        uint8 0/1 masks [..., r, h, w].
    """
    if not regions:
        raise ConfigError("no region was named; name at least one, such as WT")
    masks = [np.isin(labels, values) for values in regions.values()]
    return np.stack(masks, axis=-3).astype(np.uint8)
