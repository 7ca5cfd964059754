"""Slices of a DICOM series as one volume: whether they are one, and where it lies.

World coordinates of DICOM are LPS+, in mm; those here are RAS+, as in the rest of mriseg.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mriseg.core.volume import Geometry
from mriseg.errors import InputError

# How far headers round, in mm and as cosines.
_ROUNDING, _COSINES = 0.01, 1e-3
# Of the distance between slices: less is rounding, more is another distance.
_UNEVEN = 0.02
# In mm aside per mm along the normal: a tilt of a tenth of a degree.
_TILT = 0.002
_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class SlicePlace:
    """One slice, as a header has it.

    Attributes:
        name: what to call it, such as its file's name.
        shape: rows and columns.
        position: of the centre of its first pixel, LPS, in mm.
        orientation: the directions of a row and of a column, LPS.
        spacing: between rows and between columns, in mm.
        scale: slope and intercept of its values.
    """

    name: str
    shape: tuple[int, int]
    position: tuple[float, ...] = ()
    orientation: tuple[float, ...] = ()
    spacing: tuple[float, ...] = ()
    scale: tuple[float, float] = (1.0, 0.0)


def in_order(slices: Sequence[SlicePlace]) -> list[int]:
    """The order of slices along their normal; all have a place."""
    distances = np.array([s.position for s in slices]) @ _normal(slices[0])
    return [int(index) for index in np.argsort(distances, kind="stable")]


def stack_problem(slices: Sequence[SlicePlace]) -> str:
    """Why slices are not one volume, as a clause with the names of those at fault; or nothing."""
    for one in slices:
        if problem := _alone(one):
            return problem
    checks: tuple[tuple[str, Callable[[SlicePlace], tuple[float, ...]], float], ...] = (
        ("have different numbers of rows or columns", lambda s: s.shape, 0),
        ("have pixels of different sizes", lambda s: s.spacing, _ROUNDING / 10),
        (
            "are oriented differently, so that it holds several stacks",
            lambda s: s.orientation,
            _COSINES,
        ),
        (
            "have values of different scales (slope and intercept), which would mix them up",
            lambda s: s.scale,
            0,
        ),
    )
    first = slices[0]
    for what, of, most in checks:
        for other in slices[1:]:
            if not np.allclose(of(first), of(other), rtol=0, atol=most):
                return f"{first.name} and {other.name} {what}"
    return _spacing_problem(slices) if len(slices) > 1 else ""


def _alone(one: SlicePlace) -> str:
    sizes = (len(one.position), len(one.orientation), len(one.spacing))
    numbers = (*one.position, *one.orientation, *one.spacing, *one.scale)
    if sizes != (3, 6, 2) or not np.isfinite(numbers).all():
        return f"{one.name} does not state where it lies (position, orientation, pixel spacing)"
    row, column = np.array(one.orientation[:3]), np.array(one.orientation[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if not np.allclose(lengths, 1, atol=_COSINES) or abs(row @ column) > _COSINES:
        return f"{one.name} states an orientation that is none: its axes are not perpendicular"
    if min(one.spacing) <= 0 or one.scale[0] == 0:
        return f"{one.name} states a pixel spacing or a slope of values of 0 or less"
    return ""


def _spacing_problem(slices: Sequence[SlicePlace]) -> str:
    order = in_order(slices)
    names = [slices[index].name for index in order]
    places = np.array([slices[index].position for index in order])
    normal = _normal(slices[0])
    along = (places - places[0]) @ normal
    gaps = np.diff(along)
    if doubled := np.flatnonzero(gaps < _ROUNDING).tolist():
        each = Counter(np.cumsum(np.r_[0, gaps >= _ROUNDING]).tolist())
        if len({*each.values()}) == 1:
            return f"it holds {each[0]} images at each position, as of several volumes"
        first = doubled[0]
        return f"{names[first]} and {names[first + 1]} are the same slice twice"
    usual = float(np.median(gaps))
    uneven = np.flatnonzero(np.abs(gaps - usual) > max(_UNEVEN * usual, _ROUNDING)).tolist()
    if uneven:
        return _uneven(gaps, usual, uneven[0], names)
    aside = places - places[0] - np.outer(along, normal)
    sideways = np.linalg.norm(aside, axis=1)
    if (sideways > np.maximum(_TILT * along, 5 * _ROUNDING)).any():
        return _sideways(aside, along, names)
    return ""


def _uneven(gaps: NDArray[np.float64], usual: float, where: int, names: Sequence[str]) -> str:
    between = f"between {names[where]} and {names[where + 1]}"
    lacking = round(float(gaps[where]) / usual) - 1
    if lacking >= 1 and abs(gaps[where] - (lacking + 1) * usual) <= 0.1 * usual:
        slices = "a slice is" if lacking == 1 else f"{lacking} slices are"
        return (
            f"{slices} missing {between}: they are {gaps[where]:.4g} mm apart, others {usual:.4g}"
        )
    return (
        f"the distance between its slices varies: {gaps[where]:.4g} mm {between}, and {usual:.4g} "
        f"mm elsewhere"
    )


def _sideways(aside: NDArray[np.float64], along: NDArray[np.float64], names: Sequence[str]) -> str:
    slope = aside[-1] / along[-1]
    if np.abs(aside - np.outer(along, slope)).max() > 5 * _ROUNDING:
        off = int(np.linalg.norm(aside - np.outer(along, slope), axis=1).argmax())
        return f"{names[off]} lies beside the line of the other slices"
    angle = np.degrees(np.arctan(np.linalg.norm(slope)))
    return f"its slices are tilted by {angle:.3g} degrees against the line that they lie on"


def _normal(one: SlicePlace) -> NDArray[np.float64]:
    normal = np.cross(one.orientation[:3], one.orientation[3:])
    return np.asarray(normal / np.linalg.norm(normal))


def affine_of(slices: Sequence[SlicePlace]) -> NDArray[np.float64]:
    """From (column, row, slice) to RAS+ in mm, for slices in the order given.

    Args:
        slices: without a `stack_problem`, in order along their normal; at least one.
    """
    first, last = slices[0], slices[-1]
    affine = np.eye(4)
    affine[:3, 0] = np.array(first.orientation[:3]) * first.spacing[1]
    affine[:3, 1] = np.array(first.orientation[3:]) * first.spacing[0]
    affine[:3, 2] = _normal(first)
    if len(slices) > 1:
        affine[:3, 2] = np.subtract(last.position, first.position) / (len(slices) - 1)
    affine[:3, 3] = first.position
    return np.asarray(_TO_RAS @ affine)


@dataclass(frozen=True)
class Frames:
    """How an array lies in the frames of a series.

    Attributes:
        axes: for each axis (slice, row, column) of the frames, the array's axis that it is.
        flips: for each of them, whether the array runs the other way.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def of(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """An array [i, j, k] as [slice, row, column], a view."""
        turned = array.transpose(self.axes)
        return turned[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]


def frames_of(geometry: Geometry, slices: Sequence[SlicePlace]) -> Frames:
    """How an array of ``geometry`` lies in slices of the same volume.

    Args:
        geometry: of the array.
        slices: as in `affine_of`.

    Raises:
        InputError: they are not the same grid of voxels.
    """
    rows, columns = slices[0].shape
    shape = (columns, rows, len(slices))
    own = np.asarray(geometry.affine)
    theirs = affine_of(slices)
    if len(slices) == 1:
        # The distance to a next slice is stated by the array alone.
        across = int(np.argmin(geometry.shape))
        theirs[:3, 2] *= np.linalg.norm(own[:3, across])
    to_own = np.linalg.inv(own) @ theirs
    turn = np.rint(to_own[:3, :3])
    corners = np.array(
        [
            [i, j, k, 1]
            for i in (0, shape[0] - 1)
            for j in (0, shape[1] - 1)
            for k in (0, shape[2] - 1)
        ]
    )
    reached = corners @ to_own[:3].T
    axes = np.abs(turn).argmax(axis=0)
    is_turn = (np.abs(turn).sum(axis=0) == 1).all() and sorted(axes.tolist()) == [0, 1, 2]
    sizes = np.array(geometry.shape)
    if (
        not is_turn
        or tuple(sizes[axes].tolist()) != shape
        or np.abs(reached - np.rint(reached)).max() > 0.05
        or (np.rint(reached) < 0).any()
        or (np.rint(reached) >= sizes).any()
    ):
        raise InputError("its voxels do not lie where the slices of the series do")
    back = [turn[axis, number] < 0 for number, axis in enumerate(axes)]
    column, row, across = (int(axis) for axis in axes)
    return Frames((across, row, column), (bool(back[2]), bool(back[1]), bool(back[0])))
