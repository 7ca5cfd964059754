"""Values survive a round trip through JSON, and a wrong form is refused with its place."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.intensity import Normalisation
from mriseg.core.volume import Box, Geometry
from mriseg.io.disk.schemas import Labels, RegionTable, as_json, checked
from tests.strategies import geometries

corners = st.tuples(*[st.integers(0, 4096)] * 3)
numbers = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=4).map(tuple)


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(as_json(value), allow_nan=False))


@given(geometries())
def test_a_geometry_goes_through_json(geometry: Geometry) -> None:
    said = through_json(geometry)
    assert list(said) == ["shape", "affine", "axes", "flips", "unit", "ndim", "header"]
    assert checked(Geometry, said) == geometry


@given(corners, corners)
def test_a_box_goes_through_json(start: tuple[int, int, int], stop: tuple[int, int, int]) -> None:
    box = Box(start, stop)
    assert through_json(box) == {"start": list(start), "stop": list(stop)}
    assert checked(Box, through_json(box)) == box


@given(numbers, numbers)
def test_a_normalisation_goes_through_json(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    norm = Normalisation(mean, std)
    assert through_json(norm) == {"mean": list(mean), "std": list(std)}
    assert checked(Normalisation, through_json(norm)) == norm


def test_unknown_keys_are_ignored() -> None:
    assert checked(Box, {"start": [0, 0, 0], "stop": [1, 1, 1], "later": 1}) == Box(
        (0,) * 3, (1,) * 3
    )


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (Box, {"start": [0, 0]}, r"start\.2 is"),
        (Box, {"start": [0, 0, 0], "stop": [1, 1, "x" * 9999]}, r"stop\.2 is 'x+"),
        (Normalisation, {"mean": [math.nan], "std": [1.0]}, r"mean\.0 is nan"),
        (Labels, [], "at least 1"),
        (Labels, [256], "less than or equal to 255"),
        (dict[str, int], {"y" * 9999: None}, "^y{80} is None"),
    ],
)
def test_another_form_is_refused_with_its_place(kind: Any, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        checked(kind, value)
    assert len(str(caught.value)) < 1000


def test_what_a_dataclass_itself_refuses_is_an_error_of_form() -> None:
    good = Geometry((1, 1, 1), tuple((0.0,) * 4 for _ in range(4)), (0, 1, 2), (False,) * 3)
    with pytest.raises(ValueError, match="axes are an order of 0, 1, 2"):
        checked(Geometry, {**as_json(good), "axes": [0, 0, 1]})


@dataclass(frozen=True)
class Outer:
    boxes: tuple[Box, ...]


def test_structures_within_structures() -> None:
    outer = Outer((Box((0, 0, 0), (1, 2, 3)),))
    assert checked(Outer, through_json(outer)) == outer


def test_regions_keep_their_order_in_json() -> None:
    table = {"WT": (1, 2), "ET": (4,)}
    assert as_json(table, RegionTable) == [["WT", [1, 2]], ["ET", [4]]]
    assert list(checked(RegionTable, [["WT", [1, 2]], ["ET", [4]]]).items()) == [*table.items()]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([["WT", [1]], 7], "expected a list of"),
        ([["WT", [1]], {"a": 1}], "expected a list of"),
        ([[["WT"], [1]]], "expected a list of"),
        (3, "expected a list of"),
        ([["WT", [1]], ["WT", [2]]], "listed twice"),
    ],
)
def test_what_is_no_table_of_regions_is_refused(value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        checked(RegionTable, value)
