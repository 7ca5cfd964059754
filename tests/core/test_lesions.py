"""Lesions against a flood fill, voxel by voxel, and cases that are counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mriseg.core.lesions import LesionCounts, count_lesions
from mriseg.errors import InputError

Mask = NDArray[np.bool_]
Voxel = tuple[int, ...]

modest = settings(deadline=None, max_examples=80)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Mask, Mask]:
    """Sparse enough for several lesions: a drawn number below a limit is foreground."""
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6))
    limit = draw(st.integers(1, 6))
    numbers = hnp.arrays(np.uint8, shape, elements=st.integers(0, 9), fill=st.nothing())
    return draw(numbers) < limit, draw(numbers) < limit


def flooded(mask: Mask) -> list[set[Voxel]]:
    """Each lesion's voxels, by walking from one to all that touch it."""
    left = {tuple(voxel) for voxel in np.argwhere(mask).tolist()}
    lesions = []
    while left:
        edge = [left.pop()]
        lesion = set(edge)
        while edge:
            at = edge.pop()
            touching = {v for v in left if max(abs(p - q) for p, q in zip(at, v, strict=True)) == 1}
            left -= touching
            lesion |= touching
            edge.extend(touching)
        lesions.append(lesion)
    return lesions


@modest
@given(pairs())
def test_counts_equal_a_flood_fills(pair: tuple[Mask, Mask]) -> None:
    prediction, truth = pair
    marked, lesions = flooded(prediction), flooded(truth)
    in_truth, in_prediction = (set().union(*sides) for sides in (lesions, marked))
    counts = count_lesions(prediction, truth)
    detected = sum(bool(lesion & in_prediction) for lesion in lesions)
    false = sum(not lesion & in_truth for lesion in marked)
    assert counts == LesionCounts(len(lesions), detected, false)
    if lesions or marked:
        assert counts.f1 == pytest.approx(
            detected / (detected + (len(lesions) - detected + false) / 2)
        )


@modest
@given(pairs())
def test_with_masks_swapped_a_miss_is_a_false_lesion(pair: tuple[Mask, Mask]) -> None:
    a, b = pair
    one, other = count_lesions(a, b), count_lesions(b, a)
    assert one.lesions - one.detected == other.false
    assert other.lesions - other.detected == one.false


@modest
@given(pairs())
def test_f1_is_the_harmonic_mean_of_sensitivity_and_precision(pair: tuple[Mask, Mask]) -> None:
    counts = count_lesions(*pair)
    assert 0 <= counts.detected <= counts.lesions and 0 <= counts.f1 <= 1
    if counts.detected:
        harmonic = 2 / (1 / counts.sensitivity + 1 / counts.precision)
        assert counts.f1 == pytest.approx(harmonic)


def test_lesions_by_hand() -> None:
    truth = np.zeros((3, 8, 8), dtype=np.uint8)
    truth[0, 0:3, 0:3] = 1
    truth[1, 3, 3] = 1  # by its corner: still the first
    truth[2, 7, 7] = 1
    truth[0, 0, 7] = 1
    prediction = np.zeros_like(truth)
    prediction[1, 3, 3] = 1  # one voxel is enough
    prediction[0, 0, 0] = 1  # the same lesion once more, which counts once
    prediction[2, 6, 7] = 1  # beside the second, and so false
    counts = count_lesions(prediction, truth)
    assert counts == LesionCounts(lesions=3, detected=1, false=1)
    assert counts.sensitivity == pytest.approx(1 / 3) and counts.precision == 0.5
    assert counts.f1 == pytest.approx(2 / 5)


def test_one_component_may_detect_several() -> None:
    truth = np.zeros((1, 1, 9), dtype=bool)
    truth[..., [0, 4, 8]] = True
    whole = np.ones_like(truth)
    assert count_lesions(whole, truth) == LesionCounts(3, 3, 0)
    assert count_lesions(truth, whole) == LesionCounts(1, 1, 0)


def test_lesions_of_empty_masks() -> None:
    some, none = np.ones((2, 2, 2)), np.zeros((2, 2, 2))
    both, missed, false = (count_lesions(*p) for p in ((none, none), (none, some), (some, none)))
    assert (both, missed, false) == (
        LesionCounts(0, 0, 0), LesionCounts(1, 0, 0), LesionCounts(0, 0, 1),
    )  # fmt: skip
    assert (both.f1, missed.f1, false.f1) == (1, 0, 0)
    assert math.isnan(both.sensitivity) and math.isnan(both.precision)
    assert missed.sensitivity == 0 and math.isnan(missed.precision)
    assert math.isnan(false.sensitivity) and false.precision == 0


def test_counts_of_cases_add_up() -> None:
    cases = [LesionCounts(3, 2, 1), LesionCounts(0, 0, 2), LesionCounts(5, 5, 0)]
    total = sum(cases, start=LesionCounts())
    assert total == LesionCounts(8, 7, 3)
    assert total.f1 == pytest.approx(14 / 18)


def test_what_has_no_lesions_is_refused() -> None:
    mask = np.zeros((2, 3, 4))
    with pytest.raises(InputError, match="3-D masks, not in 4-D"):
        count_lesions(mask[None], mask[None])
    with pytest.raises(InputError, match="one grid"):
        count_lesions(mask, mask[:1])
