"""What is done to the scans of a session before they are `prepare`d: grid, alignment, stripping.

A `Preparation` says what is wanted, and holds for a store, a run and all that the run predicts. A
`Plan` says what that means for one session, from where its scans lie alone. A `SessionRecord` says
what was done, so that a mask can go back to each of the scans.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mriseg.core.grids import SAME_VOXEL, apart, states_a_place
from mriseg.core.modalities import display_modality
from mriseg.core.regridding import STILL, covered, labels_regridded
from mriseg.core.volume import Affine, Geometry, Number, canonical, sides, uncanonical
from mriseg.errors import InputError

Array = NDArray[Any]
Align = Literal["none", "rigid"]

# The constraints hold where a value is read from a file; see `mriseg.io.disk.schemas`.
_Name = Annotated[str, Field(max_length=200)]

NO_STRIPPER = "none"

# Of the reference's field of view. A scan with less of it shows another part of the body; one with
# less than the second leaves so much empty that a user should know.
_OVERLAP, _WHOLE = 0.1, 0.9
# Areas of pixels that differ by less are one: headers round.
_SAME_AREA = 0.02
# NIfTI's codes of worlds that are a template's and no scanner's.
_TEMPLATES = {3: "Talairach's", 4: "MNI's", 5: "a template's"}


@dataclass(frozen=True)
class Preparation:
    """What is wanted of all sessions.

    Scans of a session that lie on several grids are brought onto one whatever this says; the size
    of a network's pixels is a matter of its own (`mriseg.core.task.Task.spacing`).

    Attributes:
        reference: the modality whose grid counts; empty: that with the finest pixels.
        align: "rigid": each scan is registered to the reference first; "none": headers are relied
            on.
        strip: the name of a stripper, which removes all but the brain; "none": heads are taken as
            they are.
    """

    reference: _Name = ""
    align: Align = "none"
    strip: _Name = NO_STRIPPER

    @property
    def is_none(self) -> bool:
        """Whether nothing is asked for."""
        return self == UNPREPARED

    def __str__(self) -> str:
        parts = [
            f"onto the grid of {self.reference}" if self.reference else "",
            "aligned" if self.align != "none" else "",
            f"stripped by {self.strip}" if self.strip != NO_STRIPPER else "",
        ]
        return ", ".join(filter(None, parts)) or "none"


UNPREPARED = Preparation()
"""Nothing is asked for."""


@dataclass(frozen=True)
class Plan:
    """What is done to one session; applying it decides nothing.

    Attributes:
        reference: the modality whose grid all come onto.
        grid: that grid.
        grids: modality -> where its voxels lie, of all modalities.
        resampled: the modalities that are on another grid.
        aligned: the modalities that are registered to the reference.
        labels_on: the modality on whose grid a segmentation is, with whose scan it moves.
        notices: what a user should know of it.
    """

    reference: str
    grid: Geometry
    grids: Mapping[str, Geometry]
    resampled: tuple[str, ...] = ()
    aligned: tuple[str, ...] = ()
    labels_on: str = ""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Alignment:
    """How a scan was registered to the reference.

    Attributes:
        motion: 4x4 and rigid, from the reference's world to the scan's, in mm (R, A, S).
        before: Mattes mutual information of the two as the headers place them, in nats.
        after: the same, moved.
        shift: how far the motion moves the head, in mm, on average over its voxels.
        used: whether the scan was moved by it.
        remark: why not, or what to look at; else empty.
    """

    motion: Affine
    before: Number
    after: Number
    shift: Number
    used: bool
    remark: str = ""


@dataclass(frozen=True)
class SeriesRecord:
    """How the scan of one modality came onto the grid.

    Attributes:
        own: where its file says that it lies.
        lies: where it was taken to lie; None: as ``own`` says.
        resampled: whether it was interpolated; else its voxels are as they were.
        alignment: how it was registered; None: it was not.
    """

    own: Geometry
    lies: Geometry | None = None
    resampled: bool = False
    alignment: Alignment | None = None

    @property
    def motion(self) -> Affine:
        """4x4, from the world of the grid to the scan's, as it was applied."""
        used = self.alignment is not None and self.alignment.used
        return self.alignment.motion if used and self.alignment else STILL

    def back(self, labels: Array, grid: Geometry) -> NDArray[np.uint8]:
        """A label map of the session's grid on the scan's own, each voxel by the nearest.

        Args:
            labels: [i, j, k] of ``grid.shape``, from 0 to 255.
            grid: that of the session.
        """
        place = self.lies or self.own
        if self.resampled:
            inverse = np.linalg.inv(np.asarray(self.motion))
            motion = tuple(tuple(map(float, row)) for row in inverse)
            labels = labels_regridded(labels, grid, place, motion)
        else:
            place = grid
        if is_turned(self.own, place):
            labels = uncanonical(canonical(labels, place), self.own)
        return np.ascontiguousarray(labels, dtype=np.uint8)


@dataclass(frozen=True)
class SessionRecord:
    """What was done to one session.

    Attributes:
        wanted: what was asked for.
        reference: the modality whose grid is the session's.
        series: modality -> how its scan came onto it.
        stripped_on: the modality that the brain was recognised in; empty: nothing was stripped.
        brain: its volume, in mL, or voxels where the scan states no voxel size; None: as above.
    """

    wanted: Preparation
    reference: _Name
    series: dict[_Name, SeriesRecord]
    stripped_on: _Name = ""
    brain: Number | None = None

    @property
    def matters(self) -> bool:
        """Whether anything was done, or a scan lies otherwise than on the session's grid."""
        placed = any(one.resampled or one.lies is not None for one in self.series.values())
        return placed or not self.wanted.is_none

    def keeps(self, modality: str) -> bool:
        """Whether the voxels of a modality are as they were, and those of the session's grid."""
        return not self.series[modality].resampled

    @property
    def summary(self) -> str:
        """What was done, on one line; empty where voxels are as they were."""
        parts = []
        moved = [name for name, one in self.series.items() if one.resampled]
        if moved:
            parts.append(f"{', '.join(moved)} resampled onto the grid of {self.reference}")
        every = {n: one.alignment for n, one in self.series.items() if one.alignment is not None}
        used = [f"{name} by {one.shift:.1f} mm" for name, one in every.items() if one.used]
        kept = [name for name, one in every.items() if not one.used]
        if used:
            parts.append(f"aligned: {', '.join(used)}")
        if kept:
            parts.append(f"left where they were: {', '.join(kept)}")
        if self.brain is not None:
            parts.append(f"stripped by {self.wanted.strip} on {self.stripped_on}")
        return "; ".join(parts)


def is_turned(own: Geometry, place: Geometry) -> bool:
    """Whether an array of ``own`` is that of ``place`` but for the order and direction of its axes.

    If not, and the shapes are equal, voxel is taken for voxel, whatever the headers say.
    """
    nearest = SAME_VOXEL * min(place.spacing)
    return (own.axes, own.flips) != (place.axes, place.flips) and apart(own, place) < nearest


def plan(grids: Mapping[str, Geometry], wanted: Preparation, labels_on: str = "") -> Plan:
    """Plan a session, from where its scans lie alone.

    Args:
        grids: modality -> where its voxels lie; equal values are one grid.
        wanted: what is asked for.
        labels_on: the modality on whose grid its segmentation is; empty: all are on one, or it has
            none.

    Raises:
        InputError: the reference is not among them, or scans share no world or do not overlap.
    """
    several = len(set(grids.values())) > 1
    reference = _reference(grids, wanted, several)
    grid = grids[reference]
    others = [name for name in grids if name != reference]
    resampled = tuple(name for name in others if grids[name] != grid)
    aligned = tuple(others) if wanted.align != "none" else ()
    if grids.get(labels_on, grid) == grid:
        labels_on = reference  # What lies on a grid of several scans lies on the reference's.
    notices = []
    for name in resampled:
        _check_world(name, grids[name], reference, grid)
        share = covered(grids[name], grid)
        if share < _OVERLAP:
            raise InputError(
                f"its {name} covers {share:.0%} of the field of view of its {reference}: the two "
                f"do not show the same part of the head, by their headers; take one of them out"
            )
        if share < _WHOLE:
            notices.append(
                f"its {name} covers {share:.0%} of the field of view of its {reference}; the rest "
                f"of it is empty"
            )
    if aligned and grid.unit != "mm":
        raise InputError(
            "it states no voxel size, without which scans cannot be aligned; leave --align out"
        )
    if resampled:
        listed = ", ".join(resampled)
        notices.insert(
            0, f"{listed} resampled onto the grid of its {reference} ({described(grid)})"
        )
    return Plan(reference, grid, dict(grids), resampled, aligned, labels_on, tuple(notices))


def described(grid: Geometry) -> str:
    """A grid in a sentence, such as "240 x 240 x 155 voxels of 1 x 1 x 1 mm"."""
    size = " x ".join(f"{side:.3g}" for side in grid.own_spacing)
    return f"{sides(grid.shape)} voxels of {size} {grid.unit}"


def _reference(grids: Mapping[str, Geometry], wanted: Preparation, several: bool) -> str:
    by_name = {name.casefold(): name for name in grids}
    if wanted.reference:
        if wanted.reference.casefold() in by_name:
            return by_name[wanted.reference.casefold()]
        if several or wanted.align != "none":
            raise InputError(
                f"it has no {wanted.reference}, whose grid the others are to come onto; it has "
                f"{', '.join(grids)}"
            )
    if not several:
        return display_modality([*grids])
    area = {name: grid.spacing[1] * grid.spacing[2] for name, grid in grids.items()}
    finest = min(area.values())
    alike = [name for name in grids if area[name] <= finest * (1 + _SAME_AREA)]
    thinnest = min(grids[name].spacing[0] for name in alike)
    alike = [name for name in alike if grids[name].spacing[0] <= thinnest * (1 + _SAME_AREA)]
    return display_modality(alike)


def _check_world(name: str, own: Geometry, reference: str, grid: Geometry) -> None:
    for which, one in ((name, own), (reference, grid)):
        if not states_a_place(one):
            raise InputError(
                f"its {name} has {described(own)} and its {reference} {described(grid)}, and the "
                f"header of its {which} does not say where it lies, so that neither can be brought "
                f"onto the other's grid; bring them onto one grid first"
            )
    worlds = [_world(one) for one in (own, grid)]
    if worlds[0] != worlds[1]:
        raise InputError(
            f"its {name} lies in {worlds[0]} space and its {reference} in {worlds[1]}, by their "
            f"headers: they share no world; bring them onto one grid first"
        )


def _world(geometry: Geometry) -> str:
    header = geometry.header
    code = 0 if header is None else header.sform_code or header.qform_code
    return _TEMPLATES.get(code, "the scanner's")
