"""A comparison's trainings: each method on the same patients, each patient held out once."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.sampling import CaseEntry
from mriseg.core.trials import ALL, trials
from mriseg.errors import ConfigError


def cohort(count: int) -> list[CaseEntry]:
    """Patients, every third of whom has two cases."""
    return [
        CaseEntry(f"p{i}-{n}", f"p{i}", (1, 32, 32), ("T1",), np.ones((1, 1), np.int64), True)
        for i in range(count)
        for n in range(1 + (i % 3 == 0))
    ]


@given(st.integers(4, 14), st.integers(2, 4), st.integers(1, 2), st.integers(0, 9))
def test_every_method_meets_the_same_patients(
    count: int, folds: int, repeats: int, first: int
) -> None:
    cases, seeds = cohort(count), range(first, first + repeats)
    planned = trials(cases, ("a", "b"), sizes=None, count=folds, seeds=seeds)
    assert trials(cases[::-1], ("a", "b"), sizes=None, count=folds, seeds=seeds) == planned
    assert len({trial.place for trial in planned}) == len(planned)
    for pair in zip(planned[::2], planned[1::2], strict=True):
        assert [trial.method for trial in pair] == ["a", "b"]
        assert len({(t.train, t.held, t.seed, t.fold, t.size) for t in pair}) == 1
    for trial in planned:
        mine, others = ({name.split("-")[0] for name in side} for side in (trial.train, trial.held))
        assert not mine & others and len(mine) == trial.patients
        if trial.size == ALL:
            assert sorted((*trial.train, *trial.held)) == sorted(case.name for case in cases)
    for (method, _, _), group in groupby(planned[::2], lambda t: (t.method, t.seed, t.size)):
        held = [name for trial in group for name in trial.held]
        assert method == "a" and sorted(held) == sorted(case.name for case in cases)


@given(st.integers(8, 14), st.integers(0, 9))
def test_smaller_sets_are_within_larger_ones(count: int, seed: int) -> None:
    planned = trials(cohort(count), ("a",), sizes=("2", "4", ALL), count=2, seeds=[seed])
    by_fold = {f: [t for t in planned if t.fold == f] for f in (1, 2)}
    for few, more, every in by_fold.values():
        assert set(few.train) < set(more.train) <= set(every.train)


def test_seeds_choose_other_patients() -> None:
    planned = trials(cohort(12), ("a",), sizes=("3",), count=2, seeds=range(4))
    assert len({trial.train for trial in planned}) == len(planned)


def test_sizes_that_fit_are_chosen_by_default() -> None:
    def sizes(count: int) -> list[str]:
        planned = trials(cohort(count), ("a",), sizes=None, count=2, seeds=[0])
        return list(dict.fromkeys(trial.size for trial in planned))

    assert sizes(10) == [ALL]  # a fold leaves five, which are all
    assert sizes(13) == ["5", ALL]  # or six
    assert sizes(48) == ["5", "10", "20", ALL]
    planned = trials(cohort(9), ("a",), sizes=("02", "2", ALL), count=3, seeds=[0])
    assert {trial.size for trial in planned} == {"2", ALL}


def test_rounds_limit_the_folds() -> None:
    whole = trials(cohort(9), ("a",), sizes=None, count=3, seeds=[0])
    some = trials(cohort(9), ("a",), sizes=None, count=3, rounds=2, seeds=[0])
    assert some == [trial for trial in whole if trial.fold <= 2]
    for rounds in (0, 4):
        with pytest.raises(ConfigError, match=f"rounds = {rounds}: expected 1 to 3"):
            trials(cohort(9), ("a",), sizes=None, count=3, rounds=rounds, seeds=[0])
