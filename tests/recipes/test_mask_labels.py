from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.errors import ConfigError
from mriseg.recipes.mask_labels import FileLabels, LabelPlan, Wanted, plan_labels

MODERN = ("BraTS-GLI-00001-000-seg",)


def holding(*values: int, stems: tuple[str, ...] = ()) -> FileLabels:
    return FileLabels(dict.fromkeys(values, 10), stems)


def plan(masks: FileLabels, truths: FileLabels, regions: str | None) -> LabelPlan:
    return plan_labels({"a": masks}, {"a": truths}, Wanted.of(regions))


values = st.sets(st.integers(1, 254), max_size=5)


@given(values, values, st.sets(st.integers(1, 255), min_size=1, max_size=4))
def test_numbers_are_the_files_own(mask: set[int], truth: set[int], region: set[int]) -> None:
    numbers = "+".join(map(str, sorted(region)))
    asked = f"r={numbers},all=1+2+3"
    try:
        planned = plan(holding(*mask), holding(*truth), asked)
    except ConfigError as error:
        # Only where a region is absent and there is something that may be it.
        assert "no truth holds" in str(error)
        assert not (truth & region and truth & {1, 2, 3})
        assert truth - region - {1, 2, 3}
        return
    assert set(planned.masks["a"]["r"]) == mask & region
    assert set(planned.truths["a"]["r"]) == truth & region
    said = " ".join(planned.notices)
    for side, held in (("masks", mask), ("truths", truth)):
        unused = held - region - {1, 2, 3}
        assert (f"{side}: th" in said) == bool(unused)
        assert all(f"{value} (10 voxels in 1 file)" in said for value in unused)


def test_without_regions_all_labels_are_the_foreground() -> None:
    planned = plan(holding(1, 7), holding(), None)
    assert planned.masks == {"a": {"foreground": (1, 7)}}
    assert planned.truths == {"a": {"foreground": ()}}
    assert not planned.notices and not planned.refused


def test_a_mask_of_one_region_is_1_unless_another_mask_shows_more() -> None:
    truths = {name: holding(1, 4) for name in "ab"}
    alone = plan_labels({name: holding(1) for name in "ab"}, truths, Wanted.of("x=4"))
    assert alone.masks == {name: {"x": (1,)} for name in "ab"}
    other = plan_labels({"a": holding(1), "b": holding(1, 4)}, truths, Wanted.of("x=4"))
    assert other.masks == {"a": {"x": ()}, "b": {"x": (4,)}}


@pytest.mark.parametrize(
    ("masks", "truths", "wanted"),
    [
        # As mriseg writes them: in the numbers up to 2021.
        (holding(1, 2, 4, stems=MODERN), holding(1, 2, 3, stems=MODERN), ((4,), (3,))),
        (holding(1, 2, 3, stems=MODERN), holding(1, 2, 3, stems=MODERN), ((3,), (3,))),
        (holding(1, 2, 4), holding(1, 2, 4), ((4,), (4,))),
        # In 2024, 4 is the resection cavity.
        (holding(2, 4, stems=MODERN), holding(1, 2, 3, 4, stems=MODERN), ((4,), (3,))),
    ],
)
def test_a_name_means_the_tissue(
    masks: FileLabels, truths: FileLabels, wanted: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    planned = plan(masks, truths, "ET")
    assert (planned.masks["a"]["ET"], planned.truths["a"]["ET"]) == wanted


def test_a_cavity_is_in_no_region_by_name_and_is_said() -> None:
    planned = plan(holding(1), holding(1, 2, 3, 4, stems=MODERN), "WT,ET")
    assert planned.notices[-1] == (
        "truths: this label is in no region and counts as background: 4 (10 voxels in 1 file)"
    )


def test_a_tissue_that_no_truth_has_is_said_and_measured() -> None:
    planned = plan(holding(1, 2, 4), holding(1, 2), "WT,ET")
    assert planned.truths["a"] == {"WT": (1, 2), "ET": ()}
    assert planned.notices[-1].startswith("no truth holds ET: Dice is 1 where")
    assert plan(holding(1, 2, 4), holding(1, 2), "WT=1+2+4,ET=4").truths["a"]["ET"] == ()


def test_a_number_that_is_another_tissue_there_is_said() -> None:
    planned = plan(holding(2, 4), holding(1, 2, 3, 4, stems=MODERN), "ET=4,RC=3")
    assert any(
        text.startswith("by the names of the truths, 3 is enhancing tumour, 4 is resection")
        for text in planned.notices
    )


@pytest.mark.parametrize(
    ("truths", "regions", "said"),
    [
        (holding(1, 2, 9), "ET=4", r"holds ET \(label 4\), but truths hold 1, 2, 9.*regions ET b"),
        (holding(7), "a=1+2,b=3", r"holds a \(label 1\+2\), b \(label 3\), but truths hold 7.*a=1"),
        (holding(1, 2, 9), "WT,ET", r"holds ET \(label 4\), but truths hold 9"),
    ],
)
def test_a_region_that_no_truth_holds_beside_unknown_values_is_refused(
    truths: FileLabels, regions: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        plan(holding(1, 2, 4), truths, regions)


def test_a_number_that_the_truths_year_has_for_another_tissue_goes_by_the_tissue() -> None:
    planned = plan(holding(1, 2, 4), holding(1, 2, 3), "WT=1+2+3+4,ET=4")
    assert planned.truths["a"] == {"WT": (1, 2, 3), "ET": (3,)}
    assert planned.masks["a"] == {"WT": (1, 2, 4), "ET": (4,)}
    assert "no truth holds ET as label 4" in planned.notices[0]


def test_white_alone_is_one_region() -> None:
    for regions, name in ((None, "foreground"), ("WT", "WT"), ("x=3", "x")):
        planned = plan(holding(1), holding(255), regions)
        assert planned.truths["a"] == {name: (255,)}
        assert f"255 was taken as {name}" in planned.notices[0]
    refused = plan(holding(1, 2), holding(255), "WT,ET").refused
    assert refused == {
        "a": "its truth holds 0 and 255 alone, which does not tell WT from ET; name one region, "
        "or none"
    }
