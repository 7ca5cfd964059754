from __future__ import annotations

from dataclasses import replace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel import orientations

from mriseg.core.grids import on_one_grid, states_a_place, turn_onto
from mriseg.core.orientation import geometry_of
from mriseg.core.spatial_header import SpatialHeader
from mriseg.core.volume import Geometry
from mriseg.errors import InputError
from tests import strategies

SHAPE = (4, 5, 6)
GRID = geometry_of(SHAPE, np.array([[-1.0, 0, 0, 30], [0, -2, 0, 20], [0, 0, 3, 10], [0, 0, 0, 1]]))


def moved(x: float = 0, y: float = 0, z: float = 0) -> Geometry:
    affine = np.array(GRID.affine)
    affine[:3, 3] += (x, y, z)
    return geometry_of(SHAPE, affine)


@given(strategies.oriented_affines(), strategies.orientations(), strategies.shapes())
def test_an_array_that_nibabel_turned_is_brought_back(
    filed: tuple[Any, Any], other: strategies.Orientation, shape: tuple[int, int, int]
) -> None:
    array = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    image = nib.Nifti1Image(array, np.array(filed[1]))
    turned = image.as_reoriented(
        orientations.ornt_transform(
            orientations.io_orientation(image.affine), orientations.axcodes2ornt(tuple(other.codes))
        )
    )
    own, grid = (geometry_of(i.shape, i.affine.astype(np.float64)) for i in (turned, image))
    turn = on_one_grid(own, grid)
    np.testing.assert_array_equal(turn.apply(np.asarray(turned.dataobj)), array)
    assert turn.offset < 1e-3
    if turned.shape == shape and np.array_equal(turned.affine, image.affine):
        assert turn.is_none


@given(st.floats(-0.49, 0.49), st.sampled_from("xyz"))
def test_less_than_half_a_voxel_off_is_the_same_voxel(share: float, axis: str) -> None:
    size = {"x": 1, "y": 2, "z": 3}[axis]
    turn = on_one_grid(moved(**{axis: share * size}), GRID)
    assert turn.is_none and turn.offset == pytest.approx(abs(share), abs=1e-6)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (moved(z=1.6), r"lies elsewhere .* 0\.5 voxels: .*28\.5, 16\.0, 19\.1\) mm .*17\.5\) mm"),
        (moved(x=-20), r"20\.0 voxels"),
        (geometry_of(SHAPE, np.array(GRID.affine) @ np.diag([2, 2, 2, 1])),
         r"voxels of 2 x 4 x 6 mm and the truth 1 x 2 x 3 mm; resample"),
        (geometry_of((4, 5, 7), np.array(GRID.affine)), "4 x 5 x 7 voxels .* 4 x 5 x 6; bring"),
        (geometry_of((4, 5, 7), np.eye(4)), "4 x 5 x 7 voxels"),
    ],
)  # fmt: skip
def test_another_grid_is_refused(own: Geometry, said: str) -> None:
    with pytest.raises(InputError, match=said):
        on_one_grid(own, GRID)


def test_an_array_of_another_shape_has_no_turn() -> None:
    assert turn_onto(geometry_of((6, 5, 4), np.array(GRID.affine)), GRID) is None


HEADER = SpatialHeader(
    1, ((0.0,) * 4,) * 3, 0, (0.0,) * 3, (0.0,) * 3, 0, (1.0,) * 4, 2
)  # fmt: skip


@pytest.mark.parametrize(
    ("geometry", "states"),
    [
        (GRID, True),
        (replace(GRID, header=HEADER), False),
        (replace(GRID, header=replace(HEADER, qform_code=1)), True),
        (replace(GRID, unit="px"), False),
        (geometry_of(SHAPE, np.eye(4)), False),
        (geometry_of(SHAPE, np.diag([-1.0, -1, 1, 1])), False),
        (geometry_of(SHAPE, np.diag([1.0, 1, 1.5, 1])), True),
        (geometry_of(SHAPE, np.eye(4) + np.eye(4, k=3)), True),
    ],
)
def test_whether_a_source_says_where_it_lies(geometry: Geometry, states: bool) -> None:
    assert states_a_place(geometry) == states
