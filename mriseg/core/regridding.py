"""A volume on another grid of voxels: images by linear interpolation, labels by the nearest voxel.

The way goes through the world: a voxel of the new grid lies at a place in mm, a motion says where
that place lies in the world of the source, and the source's affine says in which of its voxels.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mriseg.core.volume import Affine, Geometry

Array = NDArray[Any]

STILL: Affine = tuple(tuple(float(i == j) for j in range(4)) for i in range(4))
"""The motion of what did not move."""

# Full width at half maximum of a Gaussian, in standard deviations.
_WIDTH = math.sqrt(8 * math.log(2))
# Voxels of the new grid that are larger than the source's by less than this need no smoothing.
_LARGER = 1.05
# Voxels; rounding must not put a voxel's face outside of it.
_FACE = 0.5 + 1e-4
# Points along each axis of a grid, by which its share in another is estimated.
_LATTICE = 24


def index_map(grid: Geometry, own: Geometry, motion: Affine = STILL) -> NDArray[np.float64]:
    """The 4x4 matrix from voxels of ``grid`` to voxels of ``own``.

    Args:
        grid: where a voxel is.
        own: where its counterpart is looked for.
        motion: 4x4, from the world of ``grid`` to the world of ``own``, in mm.
    """
    return np.linalg.solve(np.asarray(own.affine), np.asarray(motion) @ np.asarray(grid.affine))


def background(array: Array) -> float:
    """The value of a volume's corners, in the middle: that of air, or what stripping has set."""
    ends = array[tuple(slice(None, None, length - 1 or 1) for length in array.shape)]
    return float(np.median(ends))


def regridded(
    array: Array, own: Geometry, grid: Geometry, motion: Affine = STILL
) -> NDArray[np.float32]:
    """An image [i, j, k] of ``own`` on another grid; beyond its field of view its background.

    Where the new voxels are larger, the image is smoothed first, by the Gaussian that makes a point
    as wide as they are (Cardoso et al. 2015, "Scale factor point spread function matching").
    A background of one value keeps that value exactly.

    Args:
        array: raw intensities of ``own.shape``, all finite.
        own: where it lies.
        grid: where it is wanted.
        motion: as in `index_map`.
    """
    matrix = index_map(grid, own, motion)
    fill = background(array)
    # As differences to the background, so that it stays exact in sums of weights.
    values = array.astype(np.float32) - np.float32(fill)
    size = np.linalg.norm(matrix[:3, :3], axis=1)
    sigma = [math.sqrt(each**2 - 1) / _WIDTH if each > _LARGER else 0.0 for each in size]
    if any(sigma):
        values = ndimage.gaussian_filter(values, sigma, mode="nearest")
    moved = ndimage.affine_transform(
        values, matrix, output_shape=grid.shape, output=np.float32, order=1, mode="nearest"
    )
    moved[~_inside(matrix, own, grid)] = 0
    result: NDArray[np.float32] = moved + np.float32(fill)
    return result


def labels_regridded(
    labels: Array, own: Geometry, grid: Geometry, motion: Affine = STILL
) -> NDArray[np.uint8]:
    """A label map [i, j, k] of ``own`` on another grid: no label that it does not hold, 0 beyond.

    Args:
        labels: of ``own.shape``, from 0 to 255.
        own: where they lie.
        grid: where they are wanted.
        motion: as in `index_map`.
    """
    matrix = index_map(grid, own, motion)
    moved = ndimage.affine_transform(
        labels.astype(np.uint8), matrix, output_shape=grid.shape, order=0, mode="nearest"
    )
    moved[~_inside(matrix, own, grid)] = 0
    result: NDArray[np.uint8] = moved
    return result


def covered(own: Geometry, grid: Geometry, motion: Affine = STILL) -> float:
    """The share of the field of view of ``grid`` that lies in that of ``own``, from 0 to 1."""
    points = np.stack(
        np.meshgrid(
            *((np.arange(_LATTICE) + 0.5) / _LATTICE * length - 0.5 for length in grid.shape),
            indexing="ij",
        ),
        axis=-1,
    )
    matrix = index_map(grid, own, motion)
    reached = points @ matrix[:3, :3].T + matrix[:3, 3]
    within = (reached >= -_FACE) & (reached <= np.array(own.shape) - 1 + _FACE)
    return float(within.all(axis=-1).mean())


def _inside(matrix: NDArray[np.float64], own: Geometry, grid: Geometry) -> NDArray[np.bool_]:
    """Whether each voxel of ``grid`` has its centre in a voxel of ``own``."""
    steps = np.ogrid[tuple(slice(0, length) for length in grid.shape)]
    inside = np.ones(grid.shape, dtype=bool)
    for row, length in zip(matrix[:3], own.shape, strict=True):
        place = row[0] * steps[0] + (row[1] * steps[1] + (row[2] * steps[2] + row[3]))
        inside &= (place >= -_FACE) & (place <= length - 1 + _FACE)
    return inside
