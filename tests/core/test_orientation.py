from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nibabel.orientations import io_orientation

from mriseg.core.orientation import affine_fault, geometry_of
from mriseg.core.volume import canonical, uncanonical
from mriseg.errors import InputError
from tests import strategies


class TestGeometry:
    @given(strategies.oriented_affines(), strategies.shapes())
    def test_it_is_what_the_orientation_says(
        self,
        drawn: tuple[strategies.Orientation, tuple[tuple[float, ...], ...]],
        shape: tuple[int, int, int],
    ) -> None:
        orientation, affine = drawn
        expected = orientation.geometry(shape, affine)  # type: ignore[arg-type]
        assert geometry_of(shape, np.asarray(affine)) == expected

    @pytest.mark.parametrize("orientation", strategies.ORIENTATIONS, ids=lambda o: o.codes)
    def test_canonical_agrees_with_brute_force(self, orientation: strategies.Orientation) -> None:
        """World coordinates of every voxel rise along z, and fall along y (to P) and x (to L)."""
        shape = (2, 3, 4)
        affine = np.asarray(orientation.affine((1, 2, 3), (7, -8, 9)))
        grid = geometry_of(shape, affine)
        index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
        world = index @ affine[:3, :3].T + affine[:3, 3]
        right, front, up = (canonical(world[..., axis], grid) for axis in range(3))
        assert (np.diff(up, axis=0) > 0).all()
        assert (np.diff(front, axis=1) < 0).all()
        assert (np.diff(right, axis=2) < 0).all()
        array = np.arange(24).reshape(shape)
        np.testing.assert_array_equal(uncanonical(canonical(array, grid), grid), array)

    def test_a_singular_affine_is_refused(self) -> None:
        with pytest.raises(InputError, match="affine"):
            geometry_of((2, 2, 2), np.zeros((4, 4)))

    @given(hnp.arrays(np.float64, (3, 3), elements=st.floats(-3, 3)))
    def test_oblique_and_sheared_axes_are_assigned_as_nibabel_does(
        self, columns: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
    ) -> None:
        affine = np.eye(4)
        affine[:3, :3] = columns
        if affine_fault(affine) or abs(np.linalg.det(columns)) < 1e-3:
            return
        theirs = io_orientation(affine)
        if np.isnan(theirs).any():
            return
        grid = geometry_of((2, 3, 4), affine)
        for source, (world, sign) in enumerate(theirs):
            place = grid.axes.index(source)
            assert place == 2 - int(world)
            assert grid.flips[place] == ((sign > 0) if place else (sign < 0))

    def test_the_order_of_the_axes_does_not_matter(self) -> None:
        """The same oblique scan, stored with its axes in another order, has the same slices."""
        turn = np.deg2rad(44)
        affine = np.eye(4)
        affine[1:3, 1:3] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
        for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0]):
            grid = geometry_of((2, 2, 2), affine[:, [*order, 3]])
            assert [order[axis] for axis in grid.axes] == [2, 1, 0]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ([0, 0, 0, 0], "gives voxels a size of 0 x 1 x 1"),
        ([np.nan, 0, 0, 0], "is not finite"),
        ([1e7, 0, 0, 0], "gives voxels a size of 1e+07 x 1 x 1"),
        ([1, 0, 0, 900], ""),
    ],
)
def test_faults_of_an_affine(row: list[float], fault: str) -> None:
    affine = np.eye(4)
    affine[0] = row
    assert affine_fault(affine) == fault


def test_parallel_axes_are_singular() -> None:
    affine = np.eye(4)
    affine[:3, 1] = affine[:3, 0]
    assert affine_fault(affine).startswith("is singular")
