"""Which cases and slices are shown, whatever the order of the scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.metrics import CaseScores
from mriseg.core.showcase import showcase, telling_slices

NAN = float("nan")


def scored(case: str, dice: float, region: str = "WT") -> CaseScores:
    distances, lesions = (NAN, NAN, dice), (1, 1, 0, 1.0)
    return CaseScores(case, region, *[dice] * 4, *distances, *lesions, 1.0, 1.0, "mm")


def of(values: list[float]) -> list[CaseScores]:
    return [scored(f"case{number:03d}", value) for number, value in enumerate(values)]


dices = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1), max_size=40)


@given(dices, st.integers(1, 3), st.randoms(use_true_random=False))
def test_cases_are_shown_from_best_to_worst(values: list[float], each: int, random: object) -> None:
    scores = of(values)
    shown = showcase(scores, each)
    assert len(shown) == min(len(values), 3 * each)
    # From the best to the worst, each once, with its own rank.
    best_first = sorted(values, reverse=True)
    assert [item.rank for item in shown] == sorted({item.rank for item in shown})
    for item in shown:
        assert item.of == len(values)
        assert item.dice == {"WT": best_first[item.rank - 1]}
        assert values[int(item.case.removeprefix("case"))] == best_first[item.rank - 1]
    if len(values) > 1:
        assert (shown[0].place, shown[0].rank) == ("best", 1)
        assert (shown[-1].place, shown[-1].rank) == ("worst", len(values))
    random.shuffle(scores)  # type: ignore[attr-defined]
    assert showcase(scores, each) == shown


@pytest.mark.parametrize(
    ("number", "places"),
    [
        (0, []),
        (1, ["median"]),
        (2, ["best", "worst"]),
        (3, ["best", "median", "worst"]),
        (4, ["best", "", "", "worst"]),
        (5, ["best", "", "median", "", "worst"]),
        (6, ["best", "best", "median", "median", "worst", "worst"]),
        (40, ["best", "best", "median", "median", "worst", "worst"]),
    ],
)
def test_places(number: int, places: list[str]) -> None:
    assert [item.place for item in showcase(of([0.5] * number))] == places


@given(st.lists(st.floats(0, 1), min_size=6, max_size=40))
def test_median_cases_enclose_the_median(values: list[float]) -> None:
    middle = [item.dice["WT"] for item in showcase(of(values)) if item.place == "median"]
    assert min(middle) <= np.median(values) <= max(middle)


def test_regions_count_equally() -> None:
    scores = [scored("a", 0.9), scored("a", 0.1, "ET"), scored("b", 0.6), scored("b", 0.6, "ET")]
    best, worst = showcase(scores)
    assert (best.case, worst.case) == ("b", "a")
    assert worst.dice == {"WT": 0.9, "ET": 0.1}


def masks(**marked: tuple[int, int]) -> np.ndarray:
    """[1, 9, 4, 4] with so many voxels in a slice: ``s3=(2, 5)`` are two found, five true."""
    both = np.zeros((2, 1, 9, 16), dtype=np.uint8)
    for name, counts in marked.items():
        for side, count in enumerate(counts):
            both[side, 0, int(name[1:]), :count] = 1
    return both.reshape(2, 1, 9, 4, 4)


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ({"s3": (8, 9), "s5": (0, 4), "s7": (1, 1)}, (3, 5)),  # a miss in a smaller slice
        ({"s3": (9, 9), "s8": (6, 0)}, (3, 8)),  # a false positive in an empty slice
        ({"s3": (9, 9), "s4": (2, 2)}, (3, 3)),  # nothing wrong
        ({"s6": (3, 0), "s2": (1, 0)}, (6, 6)),  # no truth, something segmented
        ({}, (4, 4)),  # nothing at all
    ],
)
def test_slices(marked: dict[str, tuple[int, int]], expected: tuple[int, int]) -> None:
    predicted, truth = masks(**marked)
    assert telling_slices(predicted, truth) == expected
