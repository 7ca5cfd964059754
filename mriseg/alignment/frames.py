"""Scans at a resolution that registration needs, as SimpleITK takes them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, ndimage

from mriseg.alignment.extra import ALIGN
from mriseg.core.intensity import foreground
from mriseg.core.orientation import geometry_of
from mriseg.core.regridding import background, regridded
from mriseg.core.volume import Geometry, canonical, uncanonical

Array = NDArray[Any]

# mm around the head or brain whose voxels count: its outline says most of where it lies.
_RIM = 6.0
# SimpleITK's world is LPS, NIfTI's RAS.
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Frame:
    """A scan at one resolution.

    Attributes:
        array: [i, j, k] float32.
        geometry: of it; its axes are at right angles.
    """

    array: NDArray[np.float32]
    geometry: Geometry

    @property
    def head(self) -> NDArray[np.bool_]:
        """The brain or the head [i, j, k]; everything where there is nothing else to see."""
        mask = foreground([canonical(self.array, self.geometry)])
        if not mask.any():
            mask[...] = True
        return np.ascontiguousarray(uncanonical(mask, self.geometry))

    @property
    def around(self) -> NDArray[np.bool_]:
        """The brain or the head with a rim [i, j, k]."""
        distance = ndimage.distance_transform_edt(~self.head, self.geometry.own_spacing)
        near: NDArray[np.bool_] = distance <= _RIM
        return near


def frame(array: Array, own: Geometry, size: float) -> Frame:
    """A scan with voxels of at least ``size`` mm, along axes at right angles, nearest to its own.

    Args:
        array: [i, j, k] of ``own.shape``.
        own: where it lies, in mm.
        size: voxels that are larger already are left so.
    """
    affine = np.asarray(own.affine)
    steps = np.array(own.own_spacing)
    # An affine may be sheared, which SimpleITK refuses.
    turn = linalg.polar(affine[:3, :3] / steps)[0]
    ends = np.array(list(itertools.product(*[(-0.5, n - 0.5) for n in own.shape])))
    corners = (ends @ affine[:3, :3].T + affine[:3, 3]) @ turn
    low, high = corners.min(axis=0), corners.max(axis=0)
    size_each = np.maximum(steps, size)
    shape = np.maximum(1, np.rint((high - low) / size_each)).astype(int)
    placed = np.eye(4)
    placed[:3, :3] = turn * size_each
    placed[:3, 3] = turn @ (low + size_each / 2)
    i, j, k = shape.tolist()
    geometry = geometry_of((i, j, k), placed)
    return Frame(regridded(array, own, geometry), geometry)


def as_image(array: Array, geometry: Geometry) -> Any:
    """A SimpleITK image of an array [i, j, k]."""
    sitk = ALIGN.library()
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.T))
    affine = _TO_LPS @ np.asarray(geometry.affine)
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    image.SetSpacing(steps.tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / steps).ravel().tolist())
    return image


def without_air(array: Array) -> NDArray[np.float32]:
    """An image less its background, with its few brightest voxels cut off.

    Vessels and fat are so bright that all else would share a few bins of a histogram.
    """
    values = array.astype(np.float32) - np.float32(background(array))
    low, high = np.percentile(values, (0.1, 99.5))
    clipped: NDArray[np.float32] = values.clip(low, max(high, low + 1e-6))
    return clipped


def in_ras(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """A 4x4 motion of SimpleITK's world in NIfTI's, and the other way."""
    return _TO_LPS @ matrix @ _TO_LPS
