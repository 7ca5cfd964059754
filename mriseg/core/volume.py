"""Volumes: where an array lies in space, the canonical axes, crop, pad, and back.

Canonical axes are ``z y x`` with z from inferior to superior, y from anterior to posterior and x
from the patient's right to left (NIfTI's L, P, S read backwards): a slice ``[y, x]`` looks as a
radiologist expects it, and slices come first because slices are what is read. Every step keeps
what its inverse needs, so that a mask goes back onto the scan voxel for voxel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, SupportsInt

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mriseg.core.spatial_header import Number as Number
from mriseg.core.spatial_header import SpatialHeader
from mriseg.errors import InputError

Array = NDArray[Any]
Window = tuple[slice, slice]

# The constraints hold where a value is read from a file; see `mriseg.io.disk.schemas`.
Length = Annotated[int, Field(ge=1, lt=2**31)]
Unit = Literal["mm", "px"]
Size = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Spacing = tuple[Size, Size]
"""The size of a slice's pixels (y, x), in mm."""
Affine = Annotated[
    tuple[Annotated[tuple[Number, ...], Field(min_length=4, max_length=4)], ...],
    Field(min_length=4, max_length=4),
]

MAX_SIDE = 4096
"""Voxels of a slice's side: four times what heads are scanned at."""


class Volume(NamedTuple):
    """How much some voxels take up.

    Attributes:
        value: how much.
        unit: "mL", or "voxels" where the scan states no voxel size.
    """

    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.value:.{1 if self.unit == 'mL' else 0}f} {self.unit}"


def volume_unit(unit: str) -> str:
    """What volumes are given in where lengths are in ``unit``, "mm" or "px"."""
    return "mL" if unit == "mm" else "voxels"


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
        header: what a NIfTI source itself says of its place, which its masks repeat; None for
            other sources.
    """

    shape: tuple[Length, Length, Length]
    affine: Affine
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    unit: Unit = "mm"
    ndim: Annotated[int, Field(ge=2, le=3)] = 3
    header: SpatialHeader | None = None

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
    def own_spacing(self) -> tuple[float, float, float]:
        """Voxel size along the source's own axes, in ``unit``."""
        i, j, k = np.linalg.norm(np.asarray(self.affine)[:3, :3], axis=0).tolist()
        return (i, j, k)

    @property
    def orientation(self) -> str:
        """Where the source's own axes run to, as in "LPS": left, posterior, superior."""
        letters = [""] * 3
        for axis, flip, towards in zip(self.axes, self.flips, ("SI", "PA", "LR"), strict=True):
            letters[axis] = towards[flip]
        return "".join(letters)

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel, in ``unit`` cubed (the determinant: shears count)."""
        return float(abs(np.linalg.det(np.asarray(self.affine)[:3, :3])))

    def volume_of(self, voxels: SupportsInt) -> Volume:
        """The volume of that many voxels: in mL where ``unit`` is "mm", else their number."""
        each = self.voxel_volume / 1000 if self.unit == "mm" else 1.0
        return Volume(int(voxels) * each, volume_unit(self.unit))


def canonical(array: Array, geometry: Geometry) -> Array:
    """A source array as a view in canonical axes (z, y, x)."""
    if array.shape != geometry.shape:
        raise InputError(
            f"an array of shape {array.shape} does not have the geometry of {geometry.shape}"
        )
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


def foreground(prediction: Array, target: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where each of two masks of one grid is not 0. Raises InputError if their shapes differ."""
    if prediction.shape != target.shape:
        raise InputError(
            f"a prediction of shape {prediction.shape} cannot be measured against a truth of "
            f"shape {target.shape}; bring both onto one grid first"
        )
    return prediction != 0, target != 0


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


def bounding_box(mask: Array) -> Box:
    """The smallest box that holds every true voxel of a 3-D mask. Raises InputError if none is."""
    # Two passes over the volume, and the rest on the plane that the first leaves.
    plane = np.asarray(mask.any(axis=0))
    start, stop = [], []
    for occupied in (mask.any(axis=(1, 2)), plane.any(axis=1), plane.any(axis=0)):
        places = np.flatnonzero(occupied)
        if not places.size:
            raise InputError("the mask is empty, so it has no bounding box")
        start.append(int(places[0]))
        stop.append(int(places[-1]) + 1)
    return Box((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))


def crop(array: Array, box: Box) -> Array:
    """The part of ``array`` [..., z, y, x] that lies in ``box``, a view."""
    return array[(..., *box.slices)]


def uncrop(array: Array, box: Box, shape: tuple[int, int, int], fill: float = 0) -> Array:
    """The inverse of `crop`: ``array`` [..., z, y, x] in a volume of ``shape``, else ``fill``."""
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
        """Pad or crop the last two axes of ``array``; a view of it where nothing is padded."""
        h, w = array.shape[-2:]
        source, place = self.windows((h, w))
        cut = array[(..., *source)]
        if max(self.top, self.bottom, self.left, self.right) <= 0:
            return cut
        frame = (h + self.top + self.bottom, w + self.left + self.right)
        whole = np.full((*array.shape[:-2], *frame), fill, dtype=array.dtype)
        whole[(..., *place)] = cut
        return whole

    def windows(self, shape: tuple[int, int]) -> tuple[Window, Window]:
        """Which part of a slice of ``shape`` (h, w) is kept, and where in the frame it lies."""
        (kept_rows, rows), (kept_columns, columns) = (
            (
                slice(max(0, -before), length - max(0, -after)),
                slice(max(0, before), length + before),  # What is beyond the frame is cut.
            )
            for length, before, after in zip(
                shape, (self.top, self.left), (self.bottom, self.right), strict=True
            )
        )
        return (kept_rows, kept_columns), (rows, columns)


def round_up(size: int, multiple: int) -> int:
    """``size`` rounded up to a multiple of ``multiple``."""
    return -(-size // multiple) * multiple


def sides(shape: tuple[int, ...]) -> str:
    """A shape as it stands in a sentence, such as "155 x 240 x 240"."""
    return " x ".join(map(str, shape))


@dataclass(frozen=True, order=True, slots=True)
class SliceRef:
    """One slice of one case, in the store's order."""

    case: str
    slice: int
