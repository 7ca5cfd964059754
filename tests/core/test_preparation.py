"""The plan of a session from where its scans lie, and masks on the way back to each of them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.orientation import geometry_of
from mriseg.core.preparation import (
    UNPREPARED,
    Alignment,
    Preparation,
    SeriesRecord,
    SessionRecord,
    plan,
)
from mriseg.core.regridding import STILL
from mriseg.core.spatial_header import SpatialHeader
from mriseg.core.volume import Geometry
from mriseg.errors import InputError
from tests import strategies
from tests.core.test_regridding import box, grid_of, places, rigid

LPS = strategies.ORIENTATIONS[0]


def slices(pixel: float, thick: float, shift: float = 0) -> Geometry:
    """Axial slices around the origin, shifted along the head."""
    affine = np.diag([-pixel, -pixel, thick, 1.0])
    affine[:3, 3] = (24, 24, -24 + shift)
    return geometry_of((round(48 / pixel), round(48 / pixel), round(48 / thick)), affine)


FINE, THICK, COARSE = slices(0.5, 4), slices(0.8, 3), slices(1.2, 1.2)


@given(st.permutations(["T1", "T2", "FLAIR"]))
def test_the_finest_pixels_decide_in_any_order(order: list[str]) -> None:
    grids = {"T1": COARSE, "T2": FINE, "FLAIR": THICK}
    planned = plan({name: grids[name] for name in order}, UNPREPARED)
    assert (planned.reference, planned.grid) == ("T2", FINE)
    assert planned.resampled == tuple(name for name in order if name != "T2")
    assert planned.aligned == ()
    assert planned.notices[0].endswith(
        "resampled onto the grid of its T2 (96 x 96 x 12 voxels of 0.5 x 0.5 x 4 mm)"
    )


def test_of_equal_pixels_the_thinner_slices_decide_and_then_what_masks_are_shown_on() -> None:
    grids = {"T1": slices(0.5, 4), "T2": slices(0.5, 2), "FLAIR": slices(0.5, 2, shift=1)}
    assert plan(grids, UNPREPARED).reference == "FLAIR"
    assert plan({"T1": grids["T1"], "T2": grids["T2"]}, UNPREPARED).reference == "T2"


def test_the_reference_can_be_chosen_and_must_be_there() -> None:
    grids = {"T1": COARSE, "FLAIR": FINE}
    assert plan(grids, Preparation(reference="t1")).grid == COARSE
    with pytest.raises(InputError, match="it has no T2, .* it has T1, FLAIR"):
        plan(grids, Preparation(reference="T2"))
    # On one grid there is nothing to choose.
    assert plan({"T1": FINE, "FLAIR": FINE}, Preparation(reference="T2")).resampled == ()


@given(st.sampled_from(["", "T1", "FLAIR"]))
def test_one_grid_stays_as_it_is(reference: str) -> None:
    planned = plan({"T1": FINE, "FLAIR": FINE, "T2": FINE}, Preparation(reference=reference))
    assert planned.grid == FINE
    assert (planned.resampled, planned.notices) == ((), ())


def test_all_but_the_reference_are_aligned_even_on_its_grid() -> None:
    planned = plan({"T1": FINE, "FLAIR": FINE, "T2": THICK}, Preparation(align="rigid"))
    assert planned.reference == "FLAIR"
    assert (planned.aligned, planned.resampled) == (("T1", "T2"), ("T2",))
    with pytest.raises(InputError, match="no voxel size"):
        plan({"a": replace(FINE, unit="px"), "b": replace(FINE, unit="px")}, planned_with_align())


def planned_with_align() -> Preparation:
    return Preparation(align="rigid")


def header(code: int) -> SpatialHeader:
    rows: Any = tuple(tuple(map(float, row)) for row in np.asarray(FINE.affine)[:3])
    return SpatialHeader(
        1, rows, code, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0, (1.0, 1.0, 1.0, 1.0), 2
    )


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (geometry_of((9, 9, 9), np.diag([-1.0, -1, 1, 1])), "header of its T1 does not say where"),
        (replace(COARSE, unit="px"), "does not say where it lies"),
        (replace(COARSE, header=header(0)), "does not say where it lies"),
        (replace(COARSE, header=header(4)), "T1 lies in MNI's space .* FLAIR in the scanner's"),
        (slices(1.2, 1.2, shift=45), "covers 4% of the field of view of its FLAIR"),
        (slices(1.2, 1.2, shift=500), "covers 0% of"),
    ],
)
def test_what_cannot_be_brought_together_is_refused(other: Geometry, said: str) -> None:
    grids = {"T1": other, "FLAIR": replace(FINE, header=header(1))}
    with pytest.raises(InputError, match=said):
        plan(grids, UNPREPARED)


def test_a_scan_of_less_of_the_head_is_noticed() -> None:
    planned = plan({"T1": slices(1.2, 1.2, shift=12), "FLAIR": FINE}, UNPREPARED)
    assert planned.notices[1].startswith("its T1 covers 71% of the field of view of its FLAIR")


@given(strategies.orientations(), st.floats(-9, 9), st.floats(-5, 5))
def test_a_mask_goes_back_to_each_scan(one: Any, turn: float, shift: float) -> None:
    grid, own = grid_of(LPS, (1.0, 1.0, 1.0)), grid_of(one, (1.0, 2.0, 3.0))
    motion = rigid((0, 0, turn), (shift, -shift, 0))
    moved = Alignment(motion, 0.1, 0.2, 3.0, used=True)
    back = SeriesRecord(own, resampled=True, alignment=moved).back(box(grid), grid)
    # Where the scan's own voxels lie in the world of the grid.
    inverse = np.linalg.inv(np.array(motion))
    seen = np.abs(places(own) @ inverse[:3, :3].T + inverse[:3, 3]).max(axis=-1)
    sure = np.abs(seen - 12) > 0.9
    assert back.shape == own.shape
    np.testing.assert_array_equal(back[sure], (seen < 12)[sure])
    unused = SeriesRecord(own, resampled=True, alignment=replace(moved, used=False))
    assert unused.motion == STILL


@given(strategies.orientations(), strategies.orientations())
def test_a_mask_of_an_array_that_was_turned_is_turned_back(one: Any, other: Any) -> None:
    grid, own = (grid_of(each, (2.0, 2.0, 2.0)) for each in (one, other))
    labels = np.zeros(grid.shape, np.uint8)
    labels[1:4, 2:9, 5:6] = 3
    back = SeriesRecord(own, lies=grid).back(labels, grid)
    for voxel in itertools.islice(zip(*np.nonzero(labels), strict=True), 5):
        at = places(grid)[voxel]
        index = np.linalg.solve(np.asarray(own.affine), np.append(at, 1))[:3]
        assert back[tuple(np.rint(index).astype(int))] == 3
    assert np.count_nonzero(back) == np.count_nonzero(labels)


def test_arrays_that_were_taken_for_aligned_go_back_voxel_for_voxel() -> None:
    far = geometry_of(FINE.shape, np.array(FINE.affine) + np.eye(4)[:, 3:] * [[90], [0], [0], [0]])
    labels = np.random.default_rng(0).integers(0, 4, FINE.shape).astype(np.uint8)
    np.testing.assert_array_equal(SeriesRecord(far, lies=FINE).back(labels, FINE), labels)


def test_what_is_asked_for_and_what_was_done_in_words() -> None:
    assert str(UNPREPARED) == "none" and UNPREPARED.is_none
    asked = Preparation("FLAIR", "rigid", "deepbet")
    assert str(asked) == "onto the grid of FLAIR, aligned, stripped by deepbet"
    used = Alignment(STILL, 0.1, 0.2, 3.21, used=True)
    series = {
        "T1": SeriesRecord(COARSE, resampled=True, alignment=used),
        "T2": SeriesRecord(FINE, alignment=replace(used, used=False, remark="no")),
        "FLAIR": SeriesRecord(FINE),
    }
    record = SessionRecord(asked, "FLAIR", series, "FLAIR", 1234.0)
    assert record.matters
    assert record.summary == (
        "T1 resampled onto the grid of FLAIR; aligned: T1 by 3.2 mm; left where they were: T2; "
        "stripped by deepbet on FLAIR"
    )
    still = SessionRecord(UNPREPARED, "FLAIR", {"FLAIR": SeriesRecord(FINE)})
    assert (still.summary, still.matters) == ("", False)
