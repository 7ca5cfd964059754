"""The queue: every case once, uncertain and different ones first, and stable while it is done."""

from __future__ import annotations

import time
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.prepare import prepare
from mriseg.core.queue import Candidate, describe, order
from mriseg.core.volume import uncanonical
from mriseg.testing import phantoms
from tests.strategies import ORIENTATIONS

_NUMBERS = st.floats(-1e6, 1e6) | st.just(float("nan"))


@st.composite
def _cases(draw: st.DrawFn) -> list[Candidate]:
    count, width = draw(st.integers(1, 12)), draw(st.integers(0, 3))
    return [
        Candidate(f"c{n}", draw(st.floats(0, 1)), tuple(draw(_NUMBERS) for _ in range(width)))
        for n in range(count)
    ]


@given(_cases(), st.randoms(use_true_random=False))
def test_each_case_is_in_it_once_whatever_order_they_come_in(
    cases: list[Candidate], random: Random
) -> None:
    queue = order(cases)
    assert sorted(queue) == sorted(case.name for case in cases)
    shuffled = list(cases)
    random.shuffle(shuffled)
    assert order(shuffled) == queue


@given(_cases())
def test_doing_the_first_leaves_the_others_as_they_were(cases: list[Candidate]) -> None:
    first, *rest = order(cases)
    done = [case for case in cases if case.name == first]
    assert order([case for case in cases if case.name != first], done) == rest


@given(_cases())
def test_the_most_uncertain_is_first(cases: list[Candidate]) -> None:
    first = order(cases)[0]
    highest = max(case.uncertainty for case in cases)
    assert next(c for c in cases if c.name == first).uncertainty == highest


@given(_cases())
def test_units_do_not_matter(cases: list[Candidate]) -> None:
    def in_units(factor: float) -> list[Candidate]:  # a power of two, since others round
        return [replace(c, descriptor=tuple(v * factor for v in c.descriptor)) for c in cases]

    assert order(in_units(4.0)) == order(cases)


def test_of_two_alike_the_second_waits_for_what_is_different() -> None:
    alike = [Candidate(name, 0.9, (0.0, 0.0)) for name in ("a", "b")]
    other = Candidate("other", 0.5, (1.0, 1.0))
    assert order([*alike, other]) == ["a", "other", "b"]
    # But what is certain does not come before it only for being different.
    sure = Candidate("sure", 0.001, (1.0, 1.0))
    assert order([*alike, sure]) == ["a", "b", "sure"]
    # What a person has seen need not be seen again.
    assert order([alike[1], other], [alike[0]]) == ["other", "b"]


def test_descriptors_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        order([Candidate("a", 0.5, (1.0,)), Candidate("b", 0.5, ())])


def test_a_thousand_cases_take_a_moment() -> None:
    rng = np.random.default_rng(0)
    cases = [Candidate(f"{n}", rng.random(), tuple(rng.normal(size=15))) for n in range(1000)]
    began = time.perf_counter()
    assert len(set(order(cases))) == 1000
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize("modalities", [["flair"], ["flair", "t1"], ["flair", "t1", "t2"]])
def test_a_case_is_described_by_finite_numbers(modalities: list[str]) -> None:
    images, labels = phantoms.head(np.random.default_rng(0), (12, 20, 24))
    geometry = ORIENTATIONS[0].geometry((24, 20, 12))
    case = prepare(
        {name: uncanonical(images[name], geometry) for name in modalities},
        uncanonical(labels, geometry),
        geometry,
    )
    assert case.labels is not None
    numbers = describe(case, case.labels)
    empty = describe(case, np.zeros_like(case.labels))
    assert len(numbers) == len(empty) == 15
    assert np.isfinite([*numbers, *empty]).all()
    assert numbers[0] > empty[0] == 0
    # The phantom's tumour is bright on FLAIR.
    assert numbers[7] > 0
    left_out = case.labels.copy()
    left_out[:, :, : left_out.shape[2] // 2] = 0
    assert describe(case, left_out)[5] > numbers[5]
