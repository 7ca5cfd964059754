"""A scan as a viewer shows it: 256 grey levels, masks as bits, and where all of it lies.

A page that holds its scans must be small, so voxels become one byte each. What that costs is
stated (`Levels.error`), and masks lose nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core import halves, volume
from mriseg.core.volume import Box, Geometry
from mriseg.errors import InputError

Array = NDArray[Any]

REGIONS_PER_LAYER = 8
"""As many masks as a byte has bits."""

# A few vessels and artefacts are ten times as bright as the brain; they share the last level.
_TAILS = (0.1, 99.9)
# What is drawn from black to white at first.
_WINDOW = (1, 99)
_SHOWN = (_WINDOW[0], *_TAILS, _WINDOW[1])


@dataclass(frozen=True)
class Levels:
    """Intensities as bytes: a voxel of level n > 0 has the value ``slope * n + inter``.

    Attributes:
        data: uint8, of the image's shape; 0 is what was exactly 0 or not finite, the background.
        slope: the step from one level to the next, above 0.
        inter: see above.
        window: the values that are drawn black and white at first.
        exact: no value was rounded or clipped.
    """

    data: NDArray[np.uint8]
    slope: float
    inter: float
    window: tuple[float, float]
    exact: bool = False

    @property
    def error(self) -> float:
        """How far a value between the first and the last level may be from the scan's."""
        return 0.0 if self.exact else self.slope / 2

    def scaled(self, factor: float, offset: float) -> Levels:
        """The same levels for values that are multiplied by ``factor`` > 0, then moved.

        A z-score so becomes the scan's own intensity again.
        """
        low, high = (edge * factor + offset for edge in self.window)
        return replace(
            self,
            slope=self.slope * factor,
            inter=self.inter * factor + offset,
            window=(low, high),
        )


def grey_levels(image: Array) -> Levels:
    """An image of any shape and numeric type as `Levels`.

    Bytes stay what they are. Of other images, values between their 0.1st and 99.9th percentile are
    spread over the levels 1 to 255, and those beyond take the first or the last.
    """
    if halves.is_half(image):
        return _of_halves(image)
    inside = np.isfinite(image) & (image != 0)
    values = image[inside].astype(np.float32)
    if not values.size:
        return _no_levels(image)
    window, low, slope = _spread(np.percentile(values, _SHOWN).tolist())
    if image.dtype.kind in "biu" and values.min() >= 0 and values.max() <= 255:
        return Levels(image.astype(np.uint8), 1.0, 0.0, window, exact=True)
    data = np.zeros(image.shape, np.uint8)
    data[inside] = _level(values, low, slope)
    return Levels(data, slope, low - slope, window)


def _of_halves(image: NDArray[np.float16]) -> Levels:
    """`grey_levels` of a prepared scan, in a fifth of the time."""
    percentiles = halves.percentiles(image, _SHOWN)
    if not percentiles:
        return _no_levels(image)
    window, low, slope = _spread(percentiles)

    def level(values: Array) -> Array:
        levels = _level(values.astype(np.float32), low, slope)
        return np.where(np.isfinite(values) & (values != 0), levels, 0).astype(np.uint8)

    return Levels(halves.mapped(image, level), slope, low - slope, window)


def _no_levels(image: Array) -> Levels:
    return Levels(np.zeros(image.shape, np.uint8), 1.0, 0.0, (0.0, 1.0), exact=True)


def _spread(percentiles: Sequence[float]) -> tuple[tuple[float, float], float, float]:
    """The window, the value of level 1 and the step between levels, by `_SHOWN`."""
    black, low, high, white = percentiles
    window = (black, white if white > black else black + 1)
    return window, low, max((high - low) / 254, float(np.finfo(np.float32).tiny))


def _level(values: NDArray[np.float32], low: float, slope: float) -> NDArray[np.float32]:
    levels: NDArray[np.float32] = np.clip(np.rint((values - low) / slope) + 1, 1, 255)
    return levels


def shares(probabilities: Array) -> Levels:
    """Probabilities as `Levels` of 1/255; what is not finite is 0.

    Args:
        probabilities: of any shape, 0 to 1.
    """
    known = np.nan_to_num(np.asarray(probabilities, np.float32), nan=0, posinf=0, neginf=0)
    data = np.rint(np.clip(known, 0, 1) * 255).astype(np.uint8)
    return Levels(data, 1 / 255, 0.0, (0.0, 1.0))


def bit_layers(masks: Array) -> list[NDArray[np.uint8]]:
    """Masks that may overlap, eight to a volume: bit n of a voxel is the nth mask of its layer.

    Args:
        masks: [r, z, y, x], not 0 where a region is.

    Returns:
        A volume [z, y, x] for each eight regions.
    """
    layers = []
    for start in range(0, len(masks), REGIONS_PER_LAYER):
        layer = np.zeros(masks.shape[1:], np.uint8)
        for bit, mask in enumerate(masks[start : start + REGIONS_PER_LAYER]):
            layer |= (mask != 0).astype(np.uint8) << np.uint8(bit)
        layers.append(layer)
    return layers


def shown_box(volumes: Iterable[Array]) -> Box:
    """The smallest box outside which every volume [..., z, y, x] is 0; all of them if all are.

    Raises:
        InputError: there are no volumes, or they differ in shape.
    """
    held: Array | None = None
    for array in volumes:
        shown = np.any(halves.nonzero(array), axis=tuple(range(array.ndim - 3)))
        if held is not None and held.shape != shown.shape:
            raise InputError(
                f"volumes of shapes {held.shape} and {shown.shape} are not on one grid"
            )
        held = shown if held is None else held | shown
    if held is None:
        raise InputError("there is nothing to show: no volume was given")
    if not held.any():
        z, y, x = held.shape
        return Box((0, 0, 0), (z, y, x))
    return volume.bounding_box(held)


def within(outer: Box, inner: Box) -> Box:
    """``inner``, a box of the part of a volume that ``outer`` cuts, as a box of the volume."""
    z, y, x = outer.start
    start = (inner.start[0] + z, inner.start[1] + y, inner.start[2] + x)
    stop = (inner.stop[0] + z, inner.stop[1] + y, inner.stop[2] + x)
    return Box(start, stop)


def focus(masks: Sequence[Array], shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """The voxel (z, y, x) to look at first: in the fullest slice of the first mask that has any.

    Args:
        masks: each [r, z, y, x].
        shape: of the volume, whose centre it is where all masks are empty.
    """
    for mask in masks:
        union = np.any(mask != 0, axis=0)
        if union.any():
            z = int(np.count_nonzero(union, axis=(1, 2)).argmax())
            places = np.argwhere(union[z])
            # The middle of a ring is not in it: take the voxel of the mask that is nearest.
            nearest = np.square(places - places.mean(axis=0)).sum(axis=1).argmin()
            y, x = places[nearest].tolist()
            return z, y, x
    z, y, x = shape
    return z // 2, y // 2, x // 2


def to_ras(array: Array) -> Array:
    """An array [..., z, y, x] in canonical axes, y and x reversed: to the front and to the right.

    Read backwards, as NIfTI stores it, its axes then run along the world's.
    """
    return array[..., ::-1, ::-1]


def ras_affine(geometry: Geometry, box: Box) -> NDArray[np.float64]:
    """The affine of `to_ras` of what ``box`` cuts from a canonical volume; indices are x, y, z.

    Where the source states no voxel size, it says nothing of the world either: its axes are then
    taken for the canonical ones, with the origin in the first voxel.

    Args:
        geometry: of the source.
        box: of the canonical volume.
    """
    if geometry.unit != "mm":
        z, y, x = geometry.spacing
        return np.diag([x, y, z, 1.0])
    # From (x, y, z) of the cut to canonical (z, y, x), and on to the source's own axes.
    own = np.zeros((4, 4))
    own[3, 3] = 1
    steps = (1, -1, -1)
    first = (box.start[0], box.stop[1] - 1, box.stop[2] - 1)
    for canonical, (axis, flip) in enumerate(zip(geometry.axes, geometry.flips, strict=True)):
        step, start = steps[canonical], first[canonical]
        if flip:
            step, start = -step, geometry.shape[axis] - 1 - start
        own[axis, 2 - canonical] = step
        own[axis, 3] = start
    return np.asarray(geometry.affine, np.float64) @ own
