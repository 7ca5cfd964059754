"""Orientation: which axis of an array runs along which axis of the body, from its affine alone.

World coordinates are RAS+, as in NIfTI and nibabel: x to the patient's right, y to the front, z up.
A reader of a format whose world is LPS+ (DICOM) negates the first two rows of its affine first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mriseg.core.spatial_header import SpatialHeader
from mriseg.core.volume import Geometry, Unit
from mriseg.errors import InputError

# Voxel sizes beyond these, in mm, are damage: microscopes and telescopes lie between them.
_MIN_VOXEL_SIZE, _MAX_VOXEL_SIZE = 1e-6, 1e6
# Below this volume of the parallelepiped of its unit axes, an affine is singular.
_MIN_DETERMINANT = 1e-6


def geometry_of(
    shape: tuple[int, int, int],
    affine: NDArray[np.float64],
    unit: Unit = "mm",
    ndim: int = 3,
    header: SpatialHeader | None = None,
) -> Geometry:
    """The geometry of an array in RAS+ world coordinates; oblique axes count as the nearest ones.

    A single slice (``ndim`` 2) is canonical with its third axis first, whatever that axis is in
    the body, so that it stays one slice; rows then run downwards as far as its plane allows.

    Args:
        shape: the array's shape, 3 numbers.
        affine: 4x4, from voxel indices to world coordinates.
        unit: of the world coordinates.
        ndim: how many axes the source file has.
        header: what a NIfTI source itself says of its place.

    Raises:
        InputError: the affine is singular or not finite.
    """
    fault = affine_fault(affine)
    if fault:
        raise InputError(f"the affine {fault}")
    nearest = _nearest_world_axes(affine)
    source_axis = {world: axis for axis, (world, _) in enumerate(nearest)}
    order = [source_axis[2], source_axis[1], source_axis[0]]
    positive = [runs_with_it for _, runs_with_it in nearest]
    if ndim == 2:
        order = [2, *(axis for axis in order if axis != 2)]
        flips = (False, positive[order[1]], positive[order[2]])
    else:
        flips = (not positive[order[0]], positive[order[1]], positive[order[2]])
    return Geometry(
        shape=shape,
        affine=tuple(tuple(float(value) for value in row) for row in affine),
        axes=(order[0], order[1], order[2]),
        flips=flips,
        unit=unit,
        ndim=ndim,
        header=header,
    )


def affine_fault(affine: NDArray[np.float64]) -> str:
    """What makes a 4x4 affine unusable, as the end of a sentence; empty if it is usable."""
    if not np.isfinite(affine).all():
        return "is not finite"
    with np.errstate(over="ignore"):
        sizes = np.linalg.norm(affine[:3, :3], axis=0)
    if not _MIN_VOXEL_SIZE < sizes.min() <= sizes.max() < _MAX_VOXEL_SIZE:
        return f"gives voxels a size of {' x '.join(f'{size:g}' for size in sizes)}"
    if abs(np.linalg.det(affine[:3, :3] / sizes)) < _MIN_DETERMINANT:
        return "is singular (two of its axes are parallel)"
    return ""


def _nearest_world_axes(affine: NDArray[np.float64]) -> list[tuple[int, bool]]:
    """For each source axis, the world axis nearest to it and whether it runs in its direction.

    The rotation nearest to the affine (its polar factor) decides, so that a shear has little say.
    The source axis that lies closest to a world axis is assigned first, so that the result does
    not depend on the order of the axes; no two get the same world axis.
    """
    columns = affine[:3, :3]
    left, _, right = np.linalg.svd(columns / np.sqrt(np.square(columns).sum(axis=0)))
    rotation = left @ right
    closeness = np.square(rotation).max(axis=0)
    free = [0, 1, 2]
    nearest = [(0, True)] * 3
    # Stable, so that ties (45 degrees) are resolved alike on every machine.
    for axis in np.argsort(-closeness, kind="stable").tolist():
        world = max(free, key=lambda candidate: abs(float(rotation[candidate, axis])))
        free.remove(world)
        nearest[axis] = (world, bool(rotation[world, axis] > 0))
    return nearest
