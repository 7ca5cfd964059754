"""Predicted Dice, ranges and the order of looking: bounded whatever they were fitted on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from mriseg.core.certainty import (
    FEWEST,
    Known,
    RegionCertainty,
    certainty_of,
    fit,
    uncertainty,
    urgency,
)
from mriseg.core.evidence import Evidence
from mriseg.core.metrics import Counts, dice

_SHARES = st.floats(0, 1)


def evidence(expected: float, agreement: float | None = 1.0, voxels: int = 1000) -> Evidence:
    return Evidence(expected, agreement, 1.0, voxels, voxels * 1.1, int(voxels > 0))


def region(dice: float | None, expected: float) -> RegionCertainty:
    return RegionCertainty(dice, expected, 1.0, 2.0, 1)


@dataclass
class Record:
    certainty: dict[str, RegionCertainty]
    volumes: dict[str, float] = field(default_factory=lambda: {"WT": 1.0})
    flags: tuple[str, ...] = ()


_KNOWN = st.builds(Known, st.builds(evidence, _SHARES, st.none() | _SHARES), _SHARES)


@given(st.lists(_KNOWN, min_size=FEWEST, max_size=12), _SHARES, _SHARES)
def test_whatever_it_was_fitted_on_it_stays_a_share_and_rises(
    known: list[Known], one: float, other: float
) -> None:
    fitted = fit(known)
    assert fitted is not None and fitted.cases == len(known)
    low, high = (fitted.dice(evidence(value)) for value in sorted((one, other)))
    assert low is not None and high is not None and 0 <= low <= high <= 1
    sure = certainty_of(evidence(one), fitted, 0.5)
    assert 0 <= sure.volume_low <= 500 <= sure.volume_high
    assert sure.covers == fitted.covers and sure.components == 1


def test_few_cases_calibrate_nothing_and_empty_masks_are_not_learnt_from() -> None:
    known = [Known(evidence(0.9), 0.8)] * (FEWEST - 1)
    assert fit(known) is None
    assert fit([*known, Known(evidence(0.5, voxels=0), 0.0)]) is None
    assert fit([*known, Known(evidence(0.9), 0.8)]) is not None


def test_a_network_that_is_too_sure_of_itself_is_corrected_and_one_that_is_right_is_not() -> None:
    expected = np.linspace(0.6, 0.95, 8)
    sure = fit([Known(evidence(value), value**2) for value in expected])
    right = fit([Known(evidence(value), value) for value in expected])
    assert sure is not None and right is not None
    assert right.exponent == pytest.approx(1) and right.error == pytest.approx(0, abs=1e-9)
    predicted = sure.dice(evidence(0.7))
    assert predicted is not None and 0.49 < predicted < 0.7
    # Four cases move it less than twenty.
    few = fit([Known(evidence(value), value**2) for value in expected[::2]])
    many = fit([Known(evidence(value), value**2) for value in np.linspace(0.6, 0.95, 20)])
    assert few is not None and many is not None
    assert 1 < few.exponent < sure.exponent < many.exponent < 2


@given(st.integers(1, 500), st.integers(0, 500), st.integers(0, 500))
def test_no_truth_of_at_least_that_dice_is_outside_of_the_range(tp: int, fp: int, fn: int) -> None:
    counts = Counts(tp, fp, fn)
    score = dice(counts)
    mask, truth = tp + fp, tp + fn
    sure = certainty_of(Evidence(score, None, 1.0, mask, 0.0, 1), None, 1.0)
    if score > 0.02:
        assert sure.volume_low <= truth * (1 + 1e-9) and truth <= sure.volume_high * (1 + 1e-9)
    assert sure.dice is None and sure.covers is None


def test_on_new_patients_of_the_same_kind_it_follows_and_the_range_holds() -> None:
    generator = np.random.default_rng(1)

    def patients(count: int) -> list[tuple[Known, int]]:
        drawn = []
        for _ in range(count):
            true = generator.uniform(0.4, 0.95)
            believed = float(np.clip(true**0.5 + generator.normal(0, 0.02), 0.01, 1))
            voxels = 1000
            hits = true * voxels  # of a truth as large as the mask, or not quite
            truth = round(voxels * float(np.exp(generator.normal(0, (1 - true) / 2))))
            score = 2 * min(hits, truth) / (voxels + truth)
            drawn.append((Known(evidence(believed, None, voxels), score), truth))
        return drawn

    fitted = fit([known for known, _ in patients(9)])
    assert fitted is not None
    held = patients(200)
    predicted = [fitted.dice(known.evidence) for known, _ in held]
    assert spearmanr(predicted, [known.dice for known, _ in held]).statistic > 0.8
    ranges = [certainty_of(known.evidence, fitted, 1.0) for known, _ in held]
    held_in = [r.volume_low <= t <= r.volume_high for r, (_, t) in zip(ranges, held, strict=True)]
    assert np.mean(held_in) >= 0.8


def test_copies_that_disagree_more_than_any_did_are_a_reason_to_look() -> None:
    fitted = fit([Known(evidence(0.9, agreement), 0.8) for agreement in (0.9, 0.92, 0.94, 0.96)])
    assert fitted is not None
    assert fitted.unusual("WT", evidence(0.9, 0.9)) == fitted.unusual("WT", evidence(0.9)) == ()
    [text] = fitted.unusual("WT", evidence(0.9, 0.8))
    assert "agree on WT with a Dice of 0.80" in text and "0.90 or more" in text
    assert fitted.unusual("WT", evidence(0.9, 0.8, voxels=0)) == ()
    [text] = fitted.unusual("WT", Evidence(0.9, 0.95, 0.7, 9, 9.0, 1))
    assert text.startswith("refinement left a Dice of 0.70")
    alone = fit([Known(evidence(0.9, None), 0.8)] * 4)
    assert alone is not None and alone.agreement is None
    assert alone.unusual("WT", evidence(0.9, 0.1)) == ()


def test_an_empty_mask_has_no_predicted_dice_and_a_range_from_nothing() -> None:
    fitted = fit([Known(evidence(0.9), 0.8)] * 5)
    sure = certainty_of(Evidence(0.1, 0.9, 1.0, 0, 30.0, 0), fitted, 0.1)
    assert sure.dice is None and sure.covers is None and sure.components == 0
    assert (sure.volume_low, sure.volume_high) == (0, pytest.approx(3))


def test_the_calibrated_dice_counts_where_there_is_one() -> None:
    regions = {"WT": region(0.6, 0.9), "ET": region(None, 0.8)}
    assert uncertainty(regions) == pytest.approx(0.3)
    assert uncertainty(Record(regions)) == uncertainty(regions)
    assert uncertainty({}) == uncertainty(Record({})) == 1.0


@given(st.dictionaries(st.text(), st.tuples(st.none() | _SHARES, _SHARES), max_size=4))
def test_uncertainty_is_a_share(values: dict[str, tuple[float | None, float]]) -> None:
    assert 0 <= uncertainty({name: region(*each) for name, each in values.items()}) <= 1


def test_empty_masks_come_first_then_the_uncertain_then_the_edited() -> None:
    sure, unsure = {"WT": region(0.9, 0.9)}, {"WT": region(0.5, 0.9)}
    urgencies = [
        urgency(Record(sure, volumes={"WT": 0.0})),
        urgency(Record(unsure, flags=("without T2",))),
        urgency(Record(unsure)),
        urgency(Record(sure, flags=("without T2", "voxels of 3.0 mm"))),
        urgency(Record(sure)),
        urgency(Record(unsure), edited=True),
    ]
    assert urgencies == sorted(urgencies, reverse=True) and len(set(urgencies)) == 6
