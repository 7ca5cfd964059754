from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from mriseg.core.data_set import DataCase, remarks

USUAL = DataCase(
    "usual", "p", (20, 200, 200), (5.0, 1.0, 1.0), "mm", ("T1", "FLAIR"), (100, 10), "c"
)


def cases(**changes: object) -> list[DataCase]:
    """Four usual cases and one that differs."""
    usual = [replace(USUAL, name=f"u{n}", content=f"c{n}") for n in range(4)]
    return [*usual, replace(USUAL, **{"name": "x", "content": "cx", **changes})]


def test_cases_that_are_alike_get_no_remark() -> None:
    assert remarks(cases()) == {} and remarks([]) == {}
    assert remarks(cases(spacing=(5.5, 1.1, 1.1), shape=(18, 180, 190))) == {}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"spacing": (5.0, 0.7, 1.0)}, "voxels of 5 x 0.7 x 1 mm; usual: 5 x 1 x 1 mm"),
        ({"shape": (30, 200, 200)}, "150 mm of slices; usual: 100"),
        ({"shape": (20, 100, 200)}, "100 mm of rows; usual: 200"),
        ({"modalities": ("T1",)}, "lacks FLAIR"),
        ({"voxels": None}, "no segmentation"),
        ({"voxels": (0, 0)}, "empty segmentation"),
        ({"unit": "px"}, "states no voxel size"),
    ],
)
def test_what_differs_is_said(changes: dict[str, object], text: str) -> None:
    assert remarks(cases(**changes)) == {"x": (text,)}


def test_the_number_of_slices_counts_where_their_distance_is_known() -> None:
    pixels = [replace(case, unit="px") for case in cases(shape=(60, 200, 200))]
    assert remarks(pixels) == {}


def test_copies_are_named_on_both_sides() -> None:
    assert remarks(cases(content="c1")) == {
        "u1": ("the same voxels as x",),
        "x": ("the same voxels as u1",),
    }
    # The fingerprints of the same scan, whatever its voxels.
    same = (("T1", base64.b64encode(bytes(range(256))).decode()),)
    alike = remarks([replace(case, fingerprint=same) for case in cases()[3:]])
    assert alike["x"] == ("looks like the same scan as u3",)
