"""A segment says of each case what its attributes say, and is no more than data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mriseg.io.store import CaseAttributes, Store
from mriseg.io.store.segments import (
    SUFFIX,
    Segment,
    entry_of,
    joined,
    name_of,
    packed,
    same_entry,
    segment_in,
)
from tests.stores import a_case, append


@pytest.fixture
def cases(store: Store) -> list[CaseAttributes]:
    append(store, "a", a_case(1), notices=["unusual"])
    append(store, "b/c", a_case(2, ("T2",), labelled=False))
    append(store, "d", a_case(3, ("FLAIR", "T1", "T2")))
    return list(store.cases().values())


def rows_of(cases: list[CaseAttributes]) -> list[tuple[str, str, CaseAttributes]]:
    return [(f"k{number}", f"{number:064}", case) for number, case in enumerate(cases)]


def check(segment: Segment, cases: list[CaseAttributes]) -> None:
    assert len(segment) == len(cases)
    for row, case in enumerate(cases):
        assert segment.case(row) == case and same_entry(segment.entry(row), case)


def test_what_is_packed_is_unpacked(cases: list[CaseAttributes]) -> None:
    segment = packed(rows_of(cases), 2)
    check(segment, cases)
    data = segment.to_bytes()
    again = segment_in(data)
    check(again, cases)
    assert again.columns.key == ["k0", "k1", "k2"] and again.to_bytes() == data
    assert name_of(data).endswith(SUFFIX) and name_of(data) == name_of(bytes(data))
    check(again.only([2, 0]), [cases[2], cases[0]])
    both = joined([again.only([1]), packed(rows_of(cases[:1]), 2)], {"x": ["y"]})
    check(both, [cases[1], cases[0]])
    last = segment_in(both.to_bytes())
    check(last, [cases[1], cases[0]])
    assert last.gone == {"x": ["y"]} and last.weight == 3


def test_an_empty_one_and_one_of_what_is_gone() -> None:
    assert len(segment_in(packed((), 3).to_bytes())) == 0
    gone = segment_in(joined([packed((), 0)], {"k": ["d"]}).to_bytes())
    assert (len(gone), gone.weight, gone.gone) == (0, 1, {"k": ["d"]})


@pytest.mark.parametrize(
    "unusual",
    [
        {"fingerprint": {"T1": "not base64"}},
        {"fingerprint": {"T1": "AAAA"}},
        {"foreground": [[2**40, 0]] * 10},
        {"foreground": [[70000, 0]] * 10},
    ],
)
def test_what_does_not_fit_into_columns_is_kept_as_it_is(
    cases: list[CaseAttributes], unusual: dict[str, Any]
) -> None:
    depth = cases[0].box.shape[0]
    if "foreground" in unusual:
        unusual = {"foreground": unusual["foreground"][:1] * depth}
    changed = [cases[1], replace(cases[0], **unusual), cases[2]]
    segment = segment_in(packed(rows_of(changed), 2).to_bytes())
    check(segment, changed)
    check(segment.only([1, 2]), changed[1:])
    assert entry_of(changed[1]).foreground.dtype == np.int64


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_file_is_said_to_be_damaged(data: st.DataObject) -> None:
    content = bytearray(DATA)
    if data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    with pytest.raises(ValueError):
        segment_in(bytes(content))


DATA = joined([packed((), 2)], {"key": ["digest"]}).to_bytes()
