"""Intervals, tests and verdicts have the properties they should, and agree with brute force."""

from __future__ import annotations

import itertools
import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mriseg.core.statistics import (
    Difference,
    bootstrap,
    difference,
    estimate,
    holm,
    is_shown,
    per_patient,
    permutation_test,
    verdict,
)
from mriseg.errors import InputError

scores = st.floats(0, 1)
names = st.text("abc", min_size=1, max_size=4)
cohorts = st.dictionaries(names, scores, min_size=2, max_size=10)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def shuffled(values: dict[str, float], random: Any) -> dict[str, float]:
    order = list(values)
    random.shuffle(order)
    return {name: values[name] for name in order}


@given(cohorts, st.integers(0, 9))
def test_an_interval_contains_the_mean(values: dict[str, float], seed: int) -> None:
    interval = estimate(values, seeded(seed), resamples=300)
    assert interval.mean == pytest.approx(np.mean(list(values.values())))
    assert min(values.values()) - 1e-9 <= interval.low <= interval.mean + 1e-9
    assert interval.mean - 1e-9 <= interval.high <= max(values.values()) + 1e-9
    assert interval.patients == len(values)


@given(cohorts, st.randoms(use_true_random=False))
def test_the_order_of_patients_does_not_matter(values: dict[str, float], random: Any) -> None:
    control = {name: 1 - value**2 for name, value in values.items()}
    assert estimate(shuffled(values, random), seeded()) == estimate(values, seeded())
    again = difference(shuffled(values, random), shuffled(control, random), seeded())
    assert again == difference(values, control, seeded())


@given(cohorts)
def test_identical_inputs_differ_by_nothing(values: dict[str, float]) -> None:
    contrast = difference(values, dict(values), seeded())
    assert contrast == Difference(0, 0, 0, 1, len(values))
    assert not is_shown(contrast)


@given(cohorts, st.data())
def test_swapping_the_methods_only_flips_the_sign(
    values: dict[str, float], data: st.DataObject
) -> None:
    control = {name: data.draw(scores) for name in values}
    one, other = difference(values, control, seeded()), difference(control, values, seeded())
    assert one.p == other.p
    assert (one.mean, one.low, one.high) == pytest.approx(
        (-other.mean, -other.high, -other.low), abs=1e-12
    )


@given(st.lists(st.floats(-1, 1).map(lambda v: round(v, 3)), min_size=1, max_size=7))
def test_the_exact_p_is_that_of_brute_force(values: list[float]) -> None:
    p = permutation_test(values, seeded())
    # In whole thousandths, so that ties are ties.
    whole = [round(v * 1000) for v in values]
    sums = [
        abs(sum(s * v for s, v in zip(signs, whole, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(whole))
    ]
    assert p == sum(s >= abs(sum(whole)) for s in sums) / len(sums)


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=14))
def test_differences_of_one_sign_have_the_smallest_p(values: list[float]) -> None:
    assert permutation_test(values, seeded()) == 2 / 2 ** len(values)


def test_sampled_signs_approximate_the_exact_p_and_are_never_zero() -> None:
    values = seeded(3).normal(0.3, 1, size=14)
    exact = permutation_test(values, seeded())
    # A patient without a difference changes no assignment's sum, but makes them fifteen patients.
    drawn = permutation_test([*values, 0.0], seeded())
    assert drawn == pytest.approx(exact, abs=0.02) and drawn != exact
    assert permutation_test([*values, 0.0], seeded()) == drawn
    assert permutation_test(np.ones(200), seeded()) == 2**-14


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8), st.floats(0.01, 100))
def test_p_is_the_same_in_other_units_and_with_signs_swapped(
    values: list[float], scale: float
) -> None:
    p = permutation_test(values, seeded())
    assert permutation_test(np.array(values) * scale, seeded()) == p
    assert permutation_test(np.array(values)[::-1] * -1, seeded()) == p


@pytest.mark.parametrize("patients", [2, 9, 14])
def test_the_exact_p_is_scipys_two_sided_one(patients: int) -> None:
    values, generator = seeded(patients).normal(0.2, 1, size=patients), seeded()
    before = generator.bit_generator.state
    expected = stats.permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    assert permutation_test(values, generator) == pytest.approx(expected.pvalue)
    assert generator.bit_generator.state == before, "an exact test draws nothing"


def test_differences_without_a_test_have_a_plain_p() -> None:
    assert permutation_test([0.3], seeded()) == permutation_test([0.0, 0.0], seeded()) == 1
    assert math.isnan(permutation_test([0.3, math.nan], seeded()))


def test_p_is_uniform_where_there_is_no_difference() -> None:
    generator = seeded(7)
    p_values = [permutation_test(generator.normal(size=9), generator) for _ in range(400)]
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.06)


def test_the_interval_of_a_mean_covers_it_as_often_as_it_says() -> None:
    generator = seeded(1)
    held = 0
    for _ in range(300):
        low, high = bootstrap(generator.normal(0.8, 0.1, size=30), generator, resamples=400)
        held += low <= 0.8 <= high
    assert 0.89 <= held / 300 <= 0.98


def scipys(values: list[float], method: str) -> tuple[float, float]:
    result = stats.bootstrap(
        (values,), np.mean, n_resamples=2000, method=method, random_state=seeded()
    )
    low, high = result.confidence_interval
    return low, high


@pytest.mark.parametrize(("size", "method"), [(5, "BCa"), (29, "BCa"), (30, "percentile")])
def test_the_interval_is_scipys_bca_where_values_are_few(size: int, method: str) -> None:
    # In 64ths, whose sums are exact: ties are ties for scipy too.
    values = (np.round(64 * seeded(size).beta(2, 0.3, size=size)) / 64).tolist()
    ends = {name: scipys(values, name) for name in ("BCa", "percentile")}
    assert bootstrap(values, seeded()) == pytest.approx(ends[method], abs=1e-8)
    assert ends["BCa"] != pytest.approx(ends["percentile"], abs=1e-4)


@given(
    st.lists(scores, min_size=2, max_size=12).filter(lambda v: max(v) - min(v) > 0.01),
    st.floats(-10, 10), st.floats(0.01, 100),
)  # fmt: skip
def test_the_interval_moves_and_grows_with_its_values(
    values: list[float], shift: float, scale: float
) -> None:
    low, high = bootstrap(values, seeded(), resamples=200)
    moved = bootstrap(np.array(values) * scale + shift, seeded(), resamples=200)
    assert moved == pytest.approx((low * scale + shift, high * scale + shift), abs=1e-6 * scale)


@given(st.lists(st.floats(0.1, 1), min_size=1, max_size=10), st.integers(0, 9))
def test_the_interval_of_symmetric_values_holds_their_centre(
    distances: list[float], seed: int
) -> None:
    values = np.array(distances)
    low, high = bootstrap(np.concatenate([5 - values, 5 + values]), seeded(seed))
    assert low < 5 < high


def test_bca_covers_the_mean_of_skewed_values_more_often() -> None:
    generator = seeded(2)
    held = {"BCa": 0, "percentile": 0}
    for _ in range(400):
        # Ten scores that crowd below 1, as Dice does.
        values = generator.beta(4, 0.5, size=10)
        drawn = generator.choice(values, size=(400, 10)).mean(axis=1)
        ends = {
            "BCa": bootstrap(values, generator, resamples=400),
            "percentile": np.percentile(drawn, (2.5, 97.5)),
        }
        for method, (low, high) in ends.items():
            held[method] += low <= 4 / 4.5 <= high
    assert held["percentile"] < held["BCa"] and held["BCa"] / 400 > 0.83


@pytest.mark.parametrize("resamples", [1, 2, 2000])
@pytest.mark.parametrize(
    "values",
    [
        [0.7] * 3,
        [0.1 + 0.2, 0.3],
        [0.7, 0.7, np.nextafter(0.7, 1)],
        [0.0, 5e-324],
        [0.0] * 28 + [1.0],
        [1e300, -1e300],
        [1.0] * 40,
    ],
    ids=repr,
)
def test_values_that_hardly_differ_have_an_interval_and_no_warning(
    values: list[float], resamples: int
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low, high = bootstrap(values, seeded(), resamples)
    assert min(values) <= low <= high <= max(values)
    if len(set(values)) == 1:
        assert low == high == values[0]


def test_what_has_no_interval_has_nan() -> None:
    for values in ([], [0.5], [0.5, math.nan, 0.7], [0.5, math.inf]):
        assert all(map(math.isnan, bootstrap(values, seeded())))


@given(st.lists(st.tuples(names, scores), min_size=1, max_size=20), st.randoms())
def test_values_of_a_patient_are_averaged_first(rows: list[tuple[str, float]], random: Any) -> None:
    averages = per_patient(rows)
    for name in {name for name, _ in rows}:
        assert averages[name] == pytest.approx(np.mean([v for n, v in rows if n == name]))
    again = list(rows)
    random.shuffle(again)
    assert per_patient(again) == averages


def test_seeds_are_not_counted_as_patients() -> None:
    once = [("a", 0.5), ("b", 0.7), ("c", 0.9)]
    few = estimate(per_patient(once), seeded())
    many = estimate(per_patient(once * 10), seeded())
    assert (many.low, many.high, many.patients) == (few.low, few.high, 3)


@given(st.lists(st.floats(0, 1), max_size=6))
def test_holms_correction_keeps_the_order_and_never_helps(values: list[float]) -> None:
    corrected = holm(values)
    assert all(p <= q <= 1 for p, q in zip(values, corrected, strict=True))
    assert all(q <= min(1, len(values) * p) for p, q in zip(values, corrected, strict=True))
    for (p, q), (r, s) in itertools.pairwise(sorted(zip(values, corrected, strict=True))):
        assert p <= r and q <= s


def test_holms_correction_of_a_known_case() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([]) == ()


@pytest.mark.parametrize(
    ("contrast", "said"),
    [
        (
            Difference(0.0712, 0.03, 0.11, 0.004, 20),
            "transfer helps by 0.07 [0.03, 0.11] (p = 0.004)",
        ),
        (
            Difference(-0.05, -0.08, -0.021, 0.0004, 20),
            "train from scratch: better by 0.05 [0.02, 0.08] (p < 0.001)",
        ),
        (
            Difference(0.01, -0.02, 0.04, 0.512, 20),
            "no difference could be shown: 0.01 [-0.02, 0.04] (p = 0.51)",
        ),
        # Five patients, all better: the interval alone would call it shown.
        (
            Difference(0.1, 0.05, 0.15, 0.0625, 5),
            "no difference could be shown: 0.10 [0.05, 0.15] (p = 0.062)",
        ),
        (
            Difference(0.02, -0.001, 0.04, 0.049, 9),
            "no difference could be shown: 0.02 [0.00, 0.04] (p = 0.049)",
        ),
        (
            Difference(0.1, math.nan, math.nan, 1.0, 1),
            "no difference could be shown: 0.10 (one patient: no interval)",
        ),
    ],
)
def test_the_verdict_in_plain_words(contrast: Difference, said: str) -> None:
    assert verdict(contrast) == said


def test_the_verdict_uses_the_given_names() -> None:
    contrast = Difference(0.1, 0.05, 0.15, 0.01, 9)
    assert verdict(contrast, "a", "b").startswith("a helps by")
    turned = replace(contrast, mean=-0.1, low=-0.15, high=-0.05)
    assert verdict(turned, "a", "b") == "b: better by 0.10 [0.05, 0.15] (p = 0.010)"


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(InputError, match="only one side has b, c"):
        difference({"a": 1, "b": 1}, {"a": 1, "c": 1}, seeded())
    for empty in (lambda: estimate({}, seeded()), lambda: permutation_test([], seeded())):
        with pytest.raises(InputError):
            empty()
    alone = estimate({"a": 0.5}, seeded())
    assert alone.mean == 0.5 and math.isnan(alone.low) and math.isnan(alone.high)
