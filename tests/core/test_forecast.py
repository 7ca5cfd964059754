"""A forecast's intervals hold the truth, and its sentence says what was shown and what was not."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.comparison import Score
from mriseg.core.forecast import forecast
from mriseg.core.learning_curve import Curve
from mriseg.errors import InputError

SIZES = (5, 10, 15, 20)
dice = st.floats(0.0, 1.0)


def scored(
    curve: Callable[[float], float],
    sizes: tuple[int, ...] = SIZES,
    *,
    folds: int = 3,
    patients: int = 8,
    between: float = 0.0,
    noise: float = 0.0,
    rng: np.random.Generator | None = None,
) -> list[Score]:
    """Trainings whose Dice follows a curve, up to what sets patients and trainings apart."""
    rng = rng or np.random.default_rng(0)
    own = rng.normal(0, between, (folds, patients))
    trained = rng.normal(0, noise, (folds, len(sizes)))
    return [
        Score(
            method="scratch",
            size=str(size),
            patients=size,
            seed=fold,
            fold=1,
            patient=f"p{fold}-{patient}",
            case=f"p{fold}-{patient}",
            dice=float(np.clip(curve(size) + own[fold, patient] + trained[fold, place], 0, 1)),
            regions={"WT": 0.5},
            seconds=60.0,
        )
        for place, size in enumerate(sizes)
        for fold in range(folds)
        for patient in range(patients)
    ]


def foretold(scores: list[Score], now: int = 25, more: int = 10):  # type: ignore[no-untyped-def]
    return forecast(scores, now=now, more=more, generator=np.random.default_rng(1), resamples=400)


@given(st.lists(dice, min_size=4, max_size=4))
def test_the_interval_holds_what_is_expected_and_is_a_dice(values: list[float]) -> None:
    result = foretold(scored(dict(zip(SIZES, values, strict=True)).__getitem__, between=0.05))
    for item in result.predicted:
        assert 0 <= item.low <= item.dice <= item.high <= 1
    assert result.gain is not None and 0 <= result.gain.low <= result.gain.dice
    assert [item.patients for item in result.predicted] == list(range(5, 36))
    assert result.at(32).patients == 32
    with pytest.raises(KeyError):
        result.at(36)


@pytest.mark.parametrize(
    ("curve", "count"),
    [
        (Curve(0.85, 0.6, 0.5), 20),
        *(
            pytest.param(curve, 100, marks=pytest.mark.slow)
            for curve in (Curve(0.8, 0.8, 1.0), Curve(0.9, 0.5, 0.3), Curve(0.75, 0, 1))
        ),
    ],
)
def test_the_interval_covers_the_truth_of_simulated_curves(curve: Curve, count: int) -> None:
    rng = np.random.default_rng(3)
    covered = []
    for _ in range(count):
        scores = scored(curve.at, between=0.06, noise=0.02, folds=4, rng=rng)
        item = forecast(scores, now=32, more=5, generator=rng, resamples=300).at(32)
        covered.append(item.low <= curve.at(32) <= item.high)
    # 95 % is aimed at; where the curve bends the bounds matter, and it may be 90 %.
    assert sum(covered) >= 0.85 * count


def test_more_noise_makes_it_less_sure() -> None:
    curve = Curve(0.85, 0.6, 0.5).at
    quiet, loud = (foretold(scored(curve, between=0.02, noise=noise)) for noise in (0.005, 0.05))
    width = [result.at(35).high - result.at(35).low for result in (quiet, loud)]
    assert width[1] > 1.5 * width[0] and loud.spread > 3 * quiet.spread


def test_a_curve_that_rises_says_what_more_cases_are_worth() -> None:
    result = foretold(scored(Curve(0.9, 1.0, 0.5).at, between=0.03, noise=0.003))
    assert result.gain is not None
    expected = Curve(0.9, 1.0, 0.5).at(35) - Curve(0.9, 1.0, 0.5).at(25)
    assert result.gain.dice == pytest.approx(expected, abs=0.01)
    assert result.sentence.startswith("with the 25 patients there are, Dice is about 0.69")
    assert "10 more cases would be worth about 0.0" in result.sentence


def test_a_flat_curve_is_called_flat() -> None:
    result = foretold(scored(lambda _: 0.8, between=0.03, noise=0.001))
    assert "the curve is flat: 10 more cases would hardly change it" in result.sentence


def test_noise_alone_is_no_gain() -> None:
    result = foretold(scored(lambda _: 0.7, between=0.1, noise=0.06))
    assert "no gain from more patients could be shown" in result.sentence


def test_few_points_and_far_numbers_are_named() -> None:
    curve = Curve(0.9, 0.7, 0.5).at
    two = foretold(scored(curve, (5, 10)))
    assert two.curve is None and two.gain is None and two.predicted == ()
    assert two.sentence.startswith("too few points to say: 2 sizes of training, measured on 24")
    few = foretold(scored(curve, folds=1, patients=4))
    assert few.sentence.startswith("too few points to say: 4 sizes of training, measured on 4")
    far = foretold(scored(curve, between=0.02, noise=0.01), now=40)
    assert "more than 2 times the largest training, of 20 patients" in far.sentence
    one = foretold(scored(curve, folds=1, between=0.02))
    assert math.isnan(one.spread) and "use more --rounds or --seeds" in one.sentence


def test_scores_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="no score"):
        foretold([])
    scores = scored(Curve(0.9, 0.7, 0.5).at)
    with pytest.raises(InputError, match="same patients at each size; some sizes .* lack p0-3"):
        foretold([s for s in scores if (s.size, s.patient) != ("10", "p0-3")])


def test_the_same_scores_give_the_same_forecast_in_any_order() -> None:
    scores = scored(Curve(0.9, 0.7, 0.5).at, between=0.05, noise=0.02)
    assert foretold(scores) == foretold(scores[::-1])
