"""Calibration: counts add up, Platt scalings are recovered, the threshold has the best Dice."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from mriseg.core.calibration import (
    BINS,
    FEWEST,
    MINOR,
    Calibration,
    Calibrations,
    Tally,
    apply_calibrations_,
    calibrate,
    dice_by_min_share,
    prior_calibration,
    tally,
)
from mriseg.core.losses import bce
from mriseg.core.metrics import count, dice
from mriseg.core.ops import PURE
from mriseg.core.postprocess import remove_minor_components
from mriseg.core.rng import generator
from mriseg.core.segnet import SegNetConfig, build, init_weights_
from mriseg.io.disk.schemas import as_json, checked


def a_case(seed: int, scale: float = 1.0, shift: float = 0.0, size: int = 40_000):
    """Calibrated probabilities through the inverse of a line, and a truth drawn from them."""
    draws = np.random.default_rng(seed)
    logits = draws.normal(-2, 3, size)
    truth = (draws.random(size) < special.expit(logits)).astype(np.uint8)
    return special.expit((logits - shift) / scale).astype(np.float32), truth


def calibration_error(counts: Tally, calibration: Calibration, bins: int = 15) -> float:
    """The expected calibration error (Guo et al. 2017, equation 5), over ``bins`` equal widths."""
    centres = (np.arange(BINS) + 0.5) * (32 / BINS) - 16
    probability = special.expit(calibration.scale * centres + calibration.shift)
    place = (probability * bins).astype(np.int64).clip(0, bins - 1)
    voxels = counts.sum(axis=0)
    expected = np.bincount(place, weights=voxels * probability, minlength=bins)
    true = np.bincount(place, weights=counts[1], minlength=bins)
    return float(np.abs(expected - true).sum() / voxels.sum())


@given(st.integers(0, 99), st.integers(1, 500))
@settings(max_examples=20)
def test_every_voxel_is_counted_once(seed: int, cut: int) -> None:
    probabilities, truth = a_case(seed, size=600)
    whole = tally(probabilities, truth)
    assert whole.sum() == 600 and whole[1].sum() == truth.sum()
    parts = tally(probabilities[:cut], truth[:cut]) + tally(probabilities[cut:], truth[cut:])
    assert np.array_equal(whole, parts)


def test_probabilities_of_zero_and_one_are_counted() -> None:
    counts = tally(np.array([0.0, 1.0, 0.0], np.float32), np.array([0, 1, 1], np.uint8))
    assert counts[0, 0] == 1 and counts[1, 0] == 1 and counts[1, -1] == 1


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.5, -1.0), (2.0, 1.5)])
def test_a_platt_scaling_is_recovered(scale: float, shift: float) -> None:
    tallies = [tally(*a_case(seed, scale, shift)) for seed in range(FEWEST)]
    calibration = calibrate(tallies)
    assert calibration.scale == pytest.approx(scale, rel=0.1)
    assert calibration.shift == pytest.approx(shift, abs=0.15)
    # Probabilities agree with observed frequencies: the calibration error is small.
    total = np.sum(tallies, axis=0)
    assert calibration_error(total, calibration) < 0.01
    if scale != 1:
        assert calibration_error(total, Calibration()) > 0.02


@given(st.integers(0, 99), st.floats(0.3, 3), st.floats(-2, 2))
@settings(max_examples=10, deadline=None)
def test_the_threshold_is_about_the_best(seed: int, scale: float, shift: float) -> None:
    """Applied after the scaling, as in a prediction, it is as good as any other threshold."""
    cases = [a_case(seed + i, scale, shift, 5000) for i in range(FEWEST)]
    calibration = calibrate([tally(*case) for case in cases])

    def score(level: float, line: Calibration) -> float:
        marks = [special.expit(line.scale * special.logit(p) + line.shift) for p, _ in cases]
        shape = (1, 1, -1)
        return float(
            np.mean(
                [
                    dice(count((m > level).reshape(shape), t.reshape(shape)))
                    for m, (_, t) in zip(marks, cases, strict=True)
                ]
            )
        )

    others = [score(level, calibration) for level in np.linspace(0.05, 0.95, 19)]
    assert score(calibration.threshold, calibration) >= max(others) - 0.01


def test_too_few_cases_with_foreground_change_nothing() -> None:
    probabilities, truth = a_case(0, 0.5)
    empty, full = tally(probabilities, np.zeros_like(truth)), tally(probabilities, truth)
    assert calibrate([]) == calibrate([empty] * 9) == Calibration()
    assert calibrate([full] * (FEWEST - 1) + [empty]) == Calibration()
    assert calibrate([full] * FEWEST).scale == pytest.approx(0.5, rel=0.1)
    known = prior_calibration(3.0)
    assert calibrate([full] * (FEWEST - 1), otherwise=known) == known
    assert calibrate([full] * FEWEST, otherwise=known) == calibrate([full] * FEWEST)


@pytest.mark.parametrize("weight", [0.5, 1.0, 2.6, 40.0])
def test_the_effect_of_a_weight_on_the_odds_is_removed(weight: float) -> None:
    """The logit that minimises the weighted loss gives, once shifted, the true rate."""
    rate = 0.2
    target = torch.zeros(1, 1, 1, 10)
    target[..., : round(10 * rate)] = 1
    shared = torch.zeros((), requires_grad=True)
    optimiser = torch.optim.LBFGS([shared], max_iter=50)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        value = bce(shared.expand(1, 1, 1, 10), target, pos_weight=weight)
        value.backward()
        return value

    optimiser.step(closure)
    calibration = prior_calibration(weight)
    assert special.expit(shared.item() + calibration.shift) == pytest.approx(rate, abs=1e-3)
    assert special.logit(calibration.own_threshold) == pytest.approx(math.log(weight))


@given(st.floats(0.25, 4), st.floats(-3, 3), st.floats(0.2, 0.8), st.floats(0.01, 0.99))
def test_a_threshold_segments_the_same_before_the_scaling_as_after(
    scale: float, shift: float, level: float, probability: float
) -> None:
    calibration = Calibration(scale, shift, level)
    after = special.expit(scale * special.logit(probability) + shift)
    assert (after - level) * (probability - calibration.own_threshold) >= -1e-9


def test_a_perfect_network_does_not_give_a_step_function() -> None:
    truth = np.repeat(np.array([0, 1], np.uint8), 1000)
    calibration = calibrate([tally(np.where(truth, 0.9, 0.1).astype(np.float32), truth)] * FEWEST)
    assert (
        math.isfinite(calibration.shift)
        and 1 <= calibration.scale <= 4
        and 0.1 < calibration.threshold < 0.9
    )


def test_an_uninformative_network_does_not_segment_everything() -> None:
    draws = np.random.default_rng(0)
    probabilities = special.expit(draws.normal(0, 0.1, 5000)).astype(np.float32)
    truth = (draws.random(5000) < 0.02).astype(np.uint8)
    calibration = calibrate([tally(probabilities, truth)] * FEWEST)
    assert calibration.threshold == 0.2
    logits = calibration.scale * special.logit(probabilities) + calibration.shift
    assert not (special.expit(logits) > calibration.threshold).any()


def test_the_head_absorbs_a_calibration() -> None:
    model = build(SegNetConfig(in_channels=1, classes=2, width=8), PURE)
    init_weights_(model, generator(0, "weights")).eval()
    image = torch.randn(1, 1, 32, 32, generator=generator(1))
    with torch.no_grad():
        before = model(image)
        after = apply_calibrations_(model, {1: Calibration(2.0, -0.5, 0.4)})(image)
    assert torch.equal(after[:, 0], before[:, 0])
    assert torch.allclose(after[:, 1], 2 * before[:, 1] - 0.5, atol=1e-5)


def a_volume(*sides: int):
    """Cubes of these sides, far from one another, as a mask [z, y, x]."""
    mask = np.zeros((12, 12, 14 * len(sides)), dtype=np.uint8)
    for i, side in enumerate(sides):
        mask[:side, :side, 14 * i : 14 * i + side] = 1
    return mask


def test_small_components_are_removed_where_that_helps() -> None:
    tallies = [tally(*a_case(seed)) for seed in range(FEWEST)]
    predicted = a_volume(10, 3).astype(np.float32)
    mistake = [dice_by_min_share(predicted, a_volume(10, 0))] * FEWEST
    lesions = [dice_by_min_share(predicted, a_volume(10, 3))] * FEWEST
    assert calibrate(tallies, mistake).min_component_share == 0.1
    assert calibrate(tallies, lesions).min_component_share == 0
    assert calibrate(tallies).min_component_share == 0


@given(st.integers(0, 2**16), st.floats(0.7, 0.97))
@settings(max_examples=20, deadline=None)
def test_the_dice_of_each_share_is_that_of_the_mask_without_its_components(
    seed: int, sparse: float
) -> None:
    draws = np.random.default_rng(seed)
    probabilities = (draws.random((6, 9, 9)) > sparse).astype(np.float32)
    truth = (draws.random((6, 9, 9)) > sparse).astype(np.uint8)
    expected = [
        dice(count(remove_minor_components(probabilities[None], share)[0], truth))
        for share in MINOR
    ]
    assert list(dice_by_min_share(probabilities, truth)) == pytest.approx(expected)


def test_the_calibrations_of_all_regions_are_grouped_by_use() -> None:
    both = Calibrations((Calibration(1.5, -0.25, 0.4, 0.1), Calibration()))
    assert both.thresholds == (0.4, 0.5)
    assert both.min_component_shares == (0.1, 0.0)
    assert both.platt == ((1.5, -0.25), (1.0, 0.0))


def test_json_round_trip() -> None:
    calibration = Calibration(1.5, -0.25, 0.4)
    assert checked(Calibration, as_json(calibration)) == calibration


@pytest.mark.parametrize(
    "values", [{"slope": 1.0}, {"threshold": 1.5}, {"scale": math.inf}, {"shift": "x"}], ids=str
)
def test_what_is_not_a_calibration_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        checked(Calibration, values)
