"""A curve recovers what it was made from, never falls, stays in bounds, and heeds no order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.learning_curve import Curve, fit
from mriseg.errors import InputError

SIZES = (5, 10, 15, 20)
dice = st.floats(0.0, 1.0)


@given(st.floats(0.5, 1.0), st.floats(0.1, 0.9), st.floats(0.15, 1.9))
def test_a_curve_is_recovered_from_points_on_it(limit: float, drop: float, rate: float) -> None:
    curve = Curve(limit, min(drop, limit), rate)
    fitted = fit(SIZES, [curve.at(size) for size in SIZES])
    for patients in (5, 12, 20, 32, 60):
        assert fitted.at(patients) == pytest.approx(curve.at(patients), abs=0.01)


@given(st.lists(dice, min_size=3, max_size=6), st.randoms(use_true_random=False))
def test_it_never_falls_stays_within_bounds_and_heeds_no_order(
    values: list[float], random: object
) -> None:
    sizes = [4 * 2**place for place in range(len(values))]
    curve = fit(sizes, values)
    reached = [curve.at(patients) for patients in (1, 2, 4, 8, 32, 200, 10**6)]
    assert all(0 <= value <= 1 for value in reached)
    assert all(low <= high + 1e-12 for low, high in zip(reached, reached[1:], strict=False))
    pairs = list(zip(sizes, values, strict=True))
    random.shuffle(pairs)  # type: ignore[attr-defined]
    again = fit(*zip(*pairs, strict=True))
    assert again.at(50) == pytest.approx(curve.at(50), abs=1e-9)


def test_two_sizes_make_no_curve() -> None:
    with pytest.raises(InputError, match="at least 3 sizes"):
        fit((5, 5, 10), (0.1, 0.2, 0.3))
