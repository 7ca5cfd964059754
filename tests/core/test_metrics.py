"""Metrics against brute force, and the documented values for empty masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from mriseg.core.metrics import (
    METRICS,
    CaseScores,
    Counts,
    count,
    dice,
    iou,
    precision,
    score_case,
    sensitivity,
    specificity,
    summarise,
)
from mriseg.core.volume import Geometry
from mriseg.errors import InputError

Mask = NDArray[np.bool_]

modest = settings(deadline=None, max_examples=60)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Mask, Mask]:
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6))
    return draw(hnp.arrays(bool, shape)), draw(hnp.arrays(bool, shape))


@modest
@given(pairs())
def test_counts_and_what_follows_from_them_equal_brute_force(pair: tuple[Mask, Mask]) -> None:
    a, b = pair
    counts = count(a, b)
    said, true = a.ravel().tolist(), b.ravel().tolist()
    both = list(zip(said, true, strict=True))
    assert counts == Counts(
        both.count((True, True)), both.count((True, False)),
        both.count((False, True)), both.count((False, False)),
    )  # fmt: skip
    overlap, either = (a & b).sum(), (a | b).sum()
    if either:
        assert dice(counts) == pytest.approx(2 * overlap / (a.sum() + b.sum()))
        assert iou(counts) == pytest.approx(overlap / either)
    if b.any():
        assert sensitivity(counts) == pytest.approx(overlap / b.sum())
    if a.any():
        assert precision(counts) == pytest.approx(overlap / a.sum())
    if not b.all():
        assert specificity(counts) == pytest.approx((~a & ~b).sum() / (~b).sum())


@modest
@given(pairs())
def test_counts_of_slices_add_up_to_the_volumes(pair: tuple[Mask, Mask]) -> None:
    a, b = pair
    by_slice = (count(x, y) for x, y in zip(a, b, strict=True))
    assert sum(by_slice, start=Counts()) == count(a, b)


@modest
@given(pairs())
def test_dice_is_symmetric(pair: tuple[Mask, Mask]) -> None:
    a, b = pair
    assert dice(count(a, b)) == dice(count(b, a))


NAN = math.nan
EMPTY = {
    # which is empty: dice, iou, sensitivity, precision, hd95, assd, nsd, lesion_f1:
    # the module's own table.
    "both": (1.0, 1.0, NAN, NAN, 0.0, 0.0, 1.0, 1.0),
    "truth": (0.0, 0.0, NAN, 0.0, NAN, NAN, 0.0, 0.0),
    "prediction": (0.0, 0.0, 0.0, NAN, NAN, NAN, 0.0, 0.0),
}


def scan(spacing: tuple[float, float, float] = (1, 1, 1), unit: str = "mm") -> Geometry:
    """A scan with these voxels, along (z, y, x)."""
    z, y, x = spacing
    affine = ((x, 0.0, 0.0, 0.0), (0.0, y, 0.0, 0.0), (0.0, 0.0, z, 0.0), (0.0, 0.0, 0.0, 1.0))
    return Geometry((10, 10, 4), affine, (2, 1, 0), (False, True, True), unit)


@pytest.mark.parametrize("which", EMPTY)
def test_empty_masks_give_what_is_documented(which: str) -> None:
    some = np.zeros((1, 3, 4, 5), dtype=np.uint8)
    some[0, 1, 1:3, 2] = 1
    none = np.zeros_like(some)
    prediction = none if which in ("both", "prediction") else some
    target = none if which in ("both", "truth") else some
    (score,) = score_case("c", prediction, target, ["WT"], scan())
    scores = tuple(getattr(score, metric) for metric in METRICS)
    assert scores == pytest.approx(EMPTY[which], nan_ok=True)


def test_a_case_is_scored_region_by_region_with_volumes_in_ml_or_voxels() -> None:
    target = np.zeros((2, 4, 10, 10), dtype=np.uint8)
    target[0, :, 2:7, 2:7] = 1
    target[1, 1, 3:5, 3:5] = 1
    prediction = target.copy()
    prediction[0, 0] = 0
    whole, core = score_case("p1", prediction, target, ["WT", "TC"], scan((5.0, 2.0, 1.0)))
    assert (whole.case, whole.region, whole.unit) == ("p1", "WT", "mm")
    assert whole.dice == pytest.approx(150 / 175)
    assert whole.sensitivity == 0.75 and whole.precision == 1.0
    assert whole.volume_truth == pytest.approx(100 * 10 / 1000)
    assert whole.volume_pred == pytest.approx(75 * 10 / 1000)
    assert whole.hd95 == pytest.approx(5.0)
    assert (core.region, core.dice, core.hd95) == ("TC", 1.0, 0.0)
    pixels = score_case("p1", prediction, target, ["WT", "TC"], scan(unit="px"))[0]
    assert (pixels.unit, pixels.volume_truth, pixels.volume_pred) == ("px", 100, 75)


def test_a_case_is_scored_by_its_surfaces_and_its_lesions() -> None:
    target = np.zeros((1, 1, 20, 20), dtype=np.uint8)
    target[0, 0, 2, 2:12] = 1
    target[0, 0, 15, 15] = 1
    prediction = target.copy()
    prediction[0, 0, 2, 8:12] = 0
    prediction[0, 0, 15, 15] = 0
    prediction[0, 0, 19, 0] = 1
    (score,) = score_case("p1", prediction, target, ["WT"], scan())
    assert (score.lesions, score.lesions_detected, score.lesions_false) == (2, 1, 1)
    assert score.lesion_f1 == 0.5
    # Of 11 true voxels 8 lie within 2 mm of a predicted one, of 7 predicted ones 6.
    assert score.nsd == pytest.approx(14 / 18)
    (strict,) = score_case("p1", prediction, target, ["WT"], scan(), tolerance=0.5)
    assert strict.nsd == pytest.approx(12 / 18)


def test_what_does_not_fit_is_refused() -> None:
    mask = np.zeros((1, 2, 3, 4))
    with pytest.raises(InputError, match="one grid"):
        count(mask, mask[:, :1])
    with pytest.raises(InputError, match="case c.*WT, TC"):
        score_case("c", mask, mask, ["WT", "TC"], scan())


def a_score(case: str, value: float, region: str = "WT", hd95: float = 1.0) -> CaseScores:
    return CaseScores(
        case=case,
        region=region,
        **dict.fromkeys(("dice", "iou", "sensitivity", "precision", "nsd", "lesion_f1"), value),
        hd95=hd95,
        assd=1.0,
        lesions=1,
        lesions_detected=1,
        lesions_false=0,
        volume_pred=1.0,
        volume_truth=1.0,
        unit="mm",
    )


def test_a_summary_leaves_out_and_counts_what_is_undefined() -> None:
    scores = [a_score("a", 0.8, hd95=NAN), a_score("b", 0.9, hd95=3.0), a_score("c", 0.4, "TC")]
    by = {(s.region, s.metric): s for s in summarise(scores, np.random.default_rng(0))}
    assert by["WT", "dice"].mean == pytest.approx(0.85)
    assert (by["WT", "dice"].cases, by["WT", "dice"].undefined) == (2, 0)
    assert (by["WT", "hd95"].mean, by["WT", "hd95"].cases, by["WT", "hd95"].undefined) == (3, 1, 1)
    assert by["TC", "dice"].median == pytest.approx(0.4)
    # One case says nothing about how cases vary.
    assert math.isnan(by["TC", "dice"].low) and math.isnan(by["TC", "dice"].high)
    assert list(by)[: len(METRICS)] == [("WT", metric) for metric in METRICS]


def test_a_summary_of_nothing_defined_is_nan_without_a_warning() -> None:
    (summary,) = [
        s
        for s in summarise([a_score("a", NAN)] * 3, np.random.default_rng(0))
        if s.metric == "dice"
    ]
    assert math.isnan(summary.mean) and math.isnan(summary.median) and summary.cases == 0


@modest
@given(values=st.lists(st.floats(0, 1), min_size=2, max_size=12), seed=st.integers(0, 99))
def test_the_interval_holds_the_mean_and_repeats_with_its_seed(
    values: list[float], seed: int
) -> None:
    scores = [a_score(str(i), value) for i, value in enumerate(values)]
    first = summarise(scores, np.random.default_rng(seed))
    assert first == summarise(scores, np.random.default_rng(seed))
    assert first[0].mean == pytest.approx(np.mean(values))
    assert min(values) - 1e-9 <= first[0].low <= first[0].high <= max(values) + 1e-9


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        values = rng.beta(8, 2, size=40)
        scores = [a_score("x", float(value)) for value in values]
        summary = next(s for s in summarise(scores, rng, resamples=300) if s.metric == "dice")
        held += summary.low <= 0.8 <= summary.high
    assert 0.87 <= held / 200 <= 0.99
