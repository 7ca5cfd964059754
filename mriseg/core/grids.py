"""Whether two arrays lie on one grid of voxels in the world, and how one becomes the other's."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.volume import Geometry, sides
from mriseg.errors import InputError

Array = NDArray[Any]

SAME_VOXEL = 0.5
"""Voxels that each voxel may lie off its counterpart, which then is still the nearest one."""

# Voxel sizes that differ by less are one: headers round.
_SAME_SIZE = 0.01


@dataclass(frozen=True)
class Turn:
    """How the axes of an array become those of a grid.

    Attributes:
        axes: for each axis of the grid, the array's axis that it is.
        flips: for each axis of the grid, whether the array's runs the other way.
        offset: how far a voxel then lies off its counterpart at most, in voxels.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    offset: float

    @property
    def is_none(self) -> bool:
        """Whether the axes are the grid's already."""
        return self.axes == (0, 1, 2) and not any(self.flips)

    def apply(self, array: Array) -> Array:
        """A view of ``array`` in the axes of the grid."""
        turned = array.transpose(self.axes)
        return turned[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]


def states_a_place(geometry: Geometry) -> bool:
    """Whether a source says where it lies.

    It does not where it has no voxel size, where neither form of its header counts, or where its
    affine is one of ones: voxels of 1 mm from the world's origin along its axes are what programs
    write that were given none.
    """
    header = geometry.header
    if geometry.unit != "mm" or (header is not None and not header.states_a_place):
        return False
    return not np.array_equal(np.abs(geometry.affine), np.eye(4))


def turn_onto(own: Geometry, grid: Geometry) -> Turn | None:
    """The turn of an array of ``own`` that lies nearest to ``grid``; None: its shape is another."""
    to_grid = np.linalg.solve(np.asarray(grid.affine), np.asarray(own.affine))
    weight = np.abs(to_grid[:3, :3]) / np.abs(to_grid[:3, :3]).sum(axis=0)
    # Of an axis of one voxel the direction says nothing, but its place among the others does.
    z, y, x = max(
        itertools.permutations(range(3)),
        key=lambda axes: sum(weight[i, axis] for i, axis in enumerate(axes)),
    )
    axes = (z, y, x)
    if tuple(own.shape[axis] for axis in axes) != grid.shape:
        return None
    signs = [-1 if to_grid[i, axis] < 0 and grid.shape[i] > 1 else 1 for i, axis in enumerate(axes)]
    ends = np.array(list(itertools.product(*[(0, n - 1) for n in own.shape])), dtype=np.float64)
    reached = ends @ to_grid[:3, :3].T + to_grid[:3, 3]
    wanted = ends[:, axes] * signs
    wanted += [n - 1 if sign < 0 else 0 for n, sign in zip(grid.shape, signs, strict=True)]
    flips = (signs[0] < 0, signs[1] < 0, signs[2] < 0)
    return Turn(axes, flips, float(np.abs(reached - wanted).max()))


def on_one_grid(own: Geometry, grid: Geometry) -> Turn:
    """The turn that brings an array of ``own`` onto ``grid``, voxel for voxel.

    Raises:
        InputError: the two are not one grid; the message says which way, with "it" for the array
            and "the truth" for the grid.
    """
    turn = turn_onto(own, grid)
    if turn is not None and turn.offset < SAME_VOXEL:
        return turn
    sizes = [np.sort(np.linalg.norm(np.asarray(g.affine)[:3, :3], axis=0)) for g in (own, grid)]
    placed = states_a_place(own) and states_a_place(grid)
    if placed and not np.allclose(sizes[0], sizes[1], rtol=_SAME_SIZE, atol=0):
        mine, others = (" x ".join(f"{size:.3g}" for size in of) for of in sizes)
        raise InputError(
            f"it has voxels of {mine} mm and the truth {others} mm; resample it onto the truth's "
            f"grid (nearest neighbour) first"
        )
    if turn is None:
        raise InputError(
            f"it has {sides(own.shape)} voxels and the truth {sides(grid.shape)}; bring both onto "
            f"one grid first"
        )
    mine, others = (f"({', '.join(f'{v:.1f}' for v in _centre(g))})" for g in (own, grid))
    raise InputError(
        f"it lies elsewhere than the truth, by up to {turn.offset:.1f} voxels: its centre is at "
        f"{mine} mm and the truth's at {others} mm (R, A, S)"
    )


def apart(one: Geometry, other: Geometry) -> float:
    """The largest distance between corners of two grids, in mm, in canonical axes.

    Infinite where their canonical shapes differ.
    """
    if one.canonical_shape != other.canonical_shape:
        return float("inf")
    return float(np.linalg.norm(_canonical_corners(one) - _canonical_corners(other), axis=-1).max())


def corners(geometry: Geometry) -> NDArray[np.float64]:
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


def _centre(geometry: Geometry) -> NDArray[np.float64]:
    affine = np.asarray(geometry.affine)
    middle = (np.array(geometry.shape) - 1) / 2
    return np.asarray(affine[:3, :3] @ middle + affine[:3, 3])
