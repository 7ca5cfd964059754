"""Hypothesis strategies: orientations, geometries, volumes and label maps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mriseg.core.volume import Affine, Geometry

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Orientation:
    """How a source array's axes run in the world.

    Attributes:
        world: for each source axis, the world axis (0 = R, 1 = A, 2 = S) that it runs along.
        signs: for each source axis, 1 if it runs to the world axis's positive end, or -1.
    """

    world: Shape
    signs: Shape

    @property
    def codes(self) -> str:
        """NIfTI's letters, such as ``RAS``: the end that each source axis runs to."""
        ends = ("LR", "PA", "IS")
        return "".join(
            ends[axis][sign > 0] for axis, sign in zip(self.world, self.signs, strict=True)
        )

    def affine(
        self,
        spacing: Sequence[float] = (1, 1, 1),
        origin: Sequence[float] = (0, 0, 0),
        rotation: NDArray[Any] | None = None,
    ) -> Affine:
        """The 4x4 voxel-to-world matrix; ``rotation`` (3x3, world to world) makes it oblique."""
        matrix = np.zeros((4, 4))
        for axis in range(3):
            matrix[self.world[axis], axis] = self.signs[axis] * spacing[axis]
        if rotation is not None:
            matrix[:3, :3] = rotation @ matrix[:3, :3]
        matrix[:3, 3] = origin
        matrix[3, 3] = 1
        return tuple(tuple(float(v) for v in row) for row in matrix)  # type: ignore[return-value]

    def geometry(self, shape: Shape, affine: Affine | None = None, unit: str = "mm") -> Geometry:
        """The geometry of a source array of ``shape``.

        Canonical axes are z to the superior, y to the posterior, x to the left end.
        """
        axes = tuple(self.world.index(axis) for axis in (2, 1, 0))
        canonical_signs = (1, -1, -1)
        flips = tuple(
            self.signs[axis] != sign for axis, sign in zip(axes, canonical_signs, strict=True)
        )
        return Geometry(
            shape=shape,
            affine=affine or self.affine(),
            axes=axes,  # type: ignore[arg-type]
            flips=flips,  # type: ignore[arg-type]
            unit=unit,
        )


ORIENTATIONS = tuple(
    Orientation(world, signs)  # type: ignore[arg-type]
    for world in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
)


def orientations() -> st.SearchStrategy[Orientation]:
    """One of the 48 ways in which three axes can lie along the world's."""
    return st.sampled_from(ORIENTATIONS)


def shapes(low: int = 1, high: int = 9) -> st.SearchStrategy[Shape]:
    """Shapes of volumes; odd and even, flat ones too."""
    return st.tuples(*[st.integers(low, high)] * 3)


@st.composite
def rotations(draw: st.DrawFn, degrees: float = 12) -> NDArray[np.float64]:
    """Small rotations: oblique scans whose nearest world axes are not in doubt."""
    angles = [np.deg2rad(draw(st.floats(-degrees, degrees))) for _ in range(3)]
    turned = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = (a for a in range(3) if a != axis)
        step = np.eye(3)
        step[i, i] = step[j, j] = np.cos(angle)
        step[i, j], step[j, i] = -np.sin(angle), np.sin(angle)
        turned = step @ turned
    return turned


@st.composite
def oriented_affines(draw: st.DrawFn, oblique: bool = True) -> tuple[Orientation, Affine]:
    """An orientation, and an affine of it: anisotropic voxels, any origin, oblique or not."""
    orientation = draw(orientations())
    spacing = [draw(st.sampled_from((0.43, 0.9375, 1.0, 1.2, 5.0, 6.5))) for _ in range(3)]
    origin = [draw(st.floats(-300, 300, width=32)) for _ in range(3)]
    rotation = draw(st.one_of(st.none(), rotations())) if oblique else None
    return orientation, orientation.affine(spacing, origin, rotation)


@st.composite
def geometries(
    draw: st.DrawFn, shape: st.SearchStrategy[Shape] | None = None, oblique: bool = True
) -> Geometry:
    """Geometries over all 48 orientations."""
    orientation, affine = draw(oriented_affines(oblique=oblique))
    return orientation.geometry(draw(shape or shapes()), affine)


def volumes(
    shape: Shape | st.SearchStrategy[Shape] | None = None,
    dtype: Any = np.float32,
    **elements: Any,
) -> st.SearchStrategy[NDArray[Any]]:
    """Arrays of intensities, all finite, in a scanner's range."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        elements = {"min_value": -4096, "max_value": 4096, "width": 32, **elements}
        chosen: st.SearchStrategy[Any] = st.floats(allow_nan=False, **elements)
    else:
        info = np.iinfo(kind)
        bounds = {"min_value": max(info.min, -4096), "max_value": min(info.max, 4096)}
        chosen = st.integers(**{**bounds, **elements})
    return hnp.arrays(kind, shape or shapes(), elements=chosen)


def label_maps(
    shape: Shape | st.SearchStrategy[Shape] | None = None, values: Sequence[int] = (0, 1, 2, 4)
) -> st.SearchStrategy[NDArray[np.uint8]]:
    """Maps of integer labels; all-background ones too."""
    return hnp.arrays(np.uint8, shape or shapes(), elements=st.sampled_from(values))


def masks(
    shape: Any = None, fill: st.SearchStrategy[Any] | None = None
) -> st.SearchStrategy[NDArray[np.bool_]]:
    """Boolean masks; empty and full ones too."""
    return hnp.arrays(np.bool_, shape or shapes(), fill=fill)


@st.composite
def scans(
    draw: st.DrawFn, dtype: Any = np.float32, oblique: bool = True
) -> tuple[NDArray[Any], Geometry]:
    """A source array and its geometry."""
    geometry = draw(geometries(oblique=oblique))
    return draw(volumes(geometry.shape, dtype)), geometry
