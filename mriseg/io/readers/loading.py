"""What loading a case from several files has in common: one grid, and one kind of error."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from mriseg.core.volume import Geometry, canonical, sides, uncanonical
from mriseg.errors import CaseError, InputError
from mriseg.io.readers.base import Array

# Files of one scan that lie this far apart, in mm, are on one grid: headers round.
_SAME_GRID = 0.01
# Of files whose axes run another way, in voxels: a header's quaternion is good to a thousandth of a
# radian at times, a tenth of a voxel across a head, and each voxel still falls on its own.
_SAME_VOXEL = 0.5


@contextmanager
def errors_of(case: str) -> Iterator[None]:
    """Whatever is wrong with a file in this block becomes a CaseError of ``case``."""
    try:
        yield
    except CaseError:
        raise
    except InputError as error:
        raise CaseError(case, str(error)) from error


def onto_grid(
    array: Array, own: Geometry, grid: Geometry, what: str
) -> tuple[Array, tuple[str, ...]]:
    """An array in the axes of another file of its case.

    A file whose axes run another way, but whose header puts every voxel onto the grid, is turned.
    Otherwise arrays of one shape are taken to line up, whatever the headers say: in the public
    sets they do, and it is the headers that were lost on the way.

    Args:
        array: [i, j, k] of ``own``.
        own: its geometry.
        grid: the geometry to bring it to.
        what: what to call it, such as a file's name.

    Returns:
        The array, of ``grid.shape``, and a notice if it was odd.

    Raises:
        InputError: its shape is another.
    """
    nearest = _SAME_VOXEL * min(grid.spacing)
    if (own.axes, own.flips) != (grid.axes, grid.flips) and _apart(own, grid) < nearest:
        turned = uncanonical(canonical(array, own), grid)
        return turned, (f"the axes of {what} run another way than its case's; it was turned",)
    if own.shape != grid.shape:
        raise InputError(
            f"{what} has the shape {sides(own.shape)}, the case's first image has "
            f"{sides(grid.shape)}"
        )
    away = float(np.linalg.norm(_corners(own) - _corners(grid), axis=-1).max())
    if away > _SAME_GRID:
        return array, (
            f"the affine of {what} differs from its case's first image's (by up to {away:.3g} mm); "
            f"the arrays have one shape and are taken to line up",
        )
    return array, ()


def _apart(one: Geometry, other: Geometry) -> float:
    """How far apart two grids lie, in mm, once both are canonical."""
    if one.canonical_shape != other.canonical_shape:
        return float("inf")
    return float(np.linalg.norm(_canonical_corners(one) - _canonical_corners(other), axis=-1).max())


def _corners(geometry: Geometry) -> NDArray[np.float64]:
    """World coordinates [8, 3] of the corner voxels, in the array's own order."""
    ends = [(0, length - 1) for length in geometry.shape]
    return _world(geometry, np.array(list(itertools.product(*ends)), dtype=np.float64))


def _canonical_corners(geometry: Geometry) -> NDArray[np.float64]:
    """World coordinates [8, 3] of the corner voxels, in canonical order."""
    ends = [
        (length - 1, 0) if flip else (0, length - 1)
        for length, flip in zip(geometry.canonical_shape, geometry.flips, strict=True)
    ]
    turned = np.array(list(itertools.product(*ends)), dtype=np.float64)
    return _world(geometry, turned[:, np.argsort(geometry.axes)])


def _world(geometry: Geometry, voxels: NDArray[np.float64]) -> NDArray[np.float64]:
    affine = np.asarray(geometry.affine)
    return np.asarray(voxels @ affine[:3, :3].T + affine[:3, 3])
