"""No label without a word: renumbered, in no region, a region without any, 0 and 255."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.label_account import CaseLabels, in_regions, label_notices, white_label
from mriseg.errors import InputError

REGIONS = {"WT": (1, 2, 3, 4), "ET": (4,)}
NAMES = {4: "enhancing tumour", 5: "resection cavity"}


def labels(case: str, values: dict[int, int], renamed: dict[int, int] | None = None) -> CaseLabels:
    renamed = renamed or {}
    return CaseLabels(case, values, renamed, in_regions(values, renamed, REGIONS))


def test_voxels_of_regions() -> None:
    assert in_regions({1: 5, 3: 2}, {3: 4}, REGIONS) == {"WT": 7, "ET": 2}


def test_nothing_to_say() -> None:
    assert label_notices([labels("a", {1: 5, 4: 2})], REGIONS, NAMES) == []


def test_renumbered() -> None:
    cases = [labels("a", {3: 2}, {3: 4}), labels("b", {3: 1}, {3: 4})]
    (notice,) = label_notices(cases, REGIONS, NAMES)
    assert "labels of 2 cases (a, b) are renumbered" in notice
    assert "3 is 4 (enhancing tumour)" in notice


def test_a_value_in_no_region() -> None:
    cases = [labels("a", {4: 1, 255: 7}), labels("b", {4: 2, 5: 3})]
    notices = label_notices(cases, REGIONS, NAMES)
    assert "label 5 (resection cavity) is in no region: 3 voxels of 1 case (b)" in notices
    assert "label 255 is in no region: 7 voxels of 1 case (a)" in notices


def test_a_region_that_is_empty_in_every_case() -> None:
    cases = [labels("a", {1: 1}), labels("b", {2: 1})]
    assert label_notices(cases, REGIONS, NAMES) == [
        "the region ET (label 4) is empty in every case"
    ]
    assert label_notices([], REGIONS, NAMES) == []


def test_0_and_255() -> None:
    assert white_label([255], {"lesion": (1,)}) == 1
    assert white_label([255], {"lesion": (255,)}) is None
    assert white_label([1, 255], {"lesion": (1,)}) is None
    assert white_label([], {"lesion": (1,)}) is None
    with pytest.raises(InputError, match="of 0 and 255, which does not tell WT from ET"):
        white_label([255], REGIONS)


@given(
    st.dictionaries(st.integers(1, 255), st.integers(1, 99), max_size=5),
    st.sampled_from([{}, {3: 4}, {3: 4, 4: 5}]),
)
def test_every_label_is_in_a_region_or_named(
    values: dict[int, int], renamed: dict[int, int]
) -> None:
    case = labels("a", values, {k: v for k, v in renamed.items() if k in values})
    text = "\n".join(label_notices([case], REGIONS, NAMES))
    for value in values:
        inside = case.renamed.get(value, value) in REGIONS["WT"]
        assert inside or f"label {value} " in text
