"""Nobody is on both sides of a training; groups and subsets mean what was typed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.cross_validation import (
    Division,
    Grouping,
    checked_subsets,
    divided,
    parse_groups,
    parse_subsets,
    subset_name,
    used_of,
    usual_subsets,
)
from mriseg.core.sampling import CaseEntry, patients
from mriseg.errors import ConfigError, MrisegError


def entry(name: str, patient: str, content: str = "") -> CaseEntry:
    return CaseEntry(
        name, patient, (1, 32, 32), ("T1",), np.ones((1, 1), np.int64), True, content=content
    )


def cohort(count: int) -> list[CaseEntry]:
    """Patients of three institutions, every third of whom has two cases."""
    return [
        entry(f"{'ABC'[i % 3]}_{i}_{n}", f"p{i}") for i in range(count) for n in range(1 + (i > 5))
    ]


GROUPS = parse_groups("A=A_*,B=B_*")


def check(division: Division, cases: list[CaseEntry]) -> None:
    """Each patient is on one side of each training, and measured at most once."""
    of = {case.name: number for number, group in enumerate(patients(cases)) for case in group}
    measured = [name for trial in division.trials for name in trial.held]
    assert len(measured) == len(set(measured))
    assert sorted({*measured, *division.always}) == sorted(of)
    for trial in division.trials:
        assert not {of[name] for name in trial.train} & {of[name] for name in trial.held}
        assert {*trial.train, *trial.held} == set(of)
        assert trial.patients == len({of[name] for name in trial.train})
        assert trial.place == trial.part
    assert set(division.groups) == set(division.patients) == set(measured)


@given(st.integers(5, 20), st.integers(2, 5), st.integers(0, 9), st.booleans())
def test_a_patient_is_never_on_both_sides(count: int, folds: int, seed: int, whole: bool) -> None:
    cases = cohort(count)
    # The same scan under two names.
    cases += [entry("copy", "somebody", "abc")]
    cases[3] = replace(cases[3], content="abc")
    leave_out = GROUPS if whole else None
    division = divided(cases, "scratch", seed, count=folds, leave_out=leave_out)
    check(division, cases)
    again = divided(cases[::-1], "scratch", seed, count=folds, leave_out=leave_out)
    assert [set(t.held) for t in again.trials] == [set(t.held) for t in division.trials]
    if whole:
        assert [trial.part for trial in division.trials] == ["A", "B"]
        assert all(division.groups[n] == t.part for t in division.trials for n in t.held)
        assert "C_2_0" in division.always
    else:
        assert [trial.part for trial in division.trials] == [f"fold-{i + 1}" for i in range(folds)]
        assert not division.always and set(division.groups.values()) == {""}


def test_what_is_said_of_it() -> None:
    division = divided(cohort(6), "scratch", 0, count=2, leave_out=GROUPS)
    assert division.sentences == (
        "A: 2 patients of 2 cases held out, 4 patients of 4 cases train",
        "B: 2 patients of 2 cases held out, 4 patients of 4 cases train",
        "2 cases in no group: in every training, and not measured: C_2_0, C_5_0",
    )
    assert str(division.trials[0]) == "A held out, 4 patients train"


def test_folds_may_have_groups() -> None:
    division = divided(cohort(6), "scratch", 0, count=3, groups=GROUPS)
    assert {name[0]: group for name, group in division.groups.items()} == {
        **{"A": "A", "B": "B", "C": "other"},
    }


def test_what_is_left_out_may_be_reported_by_other_groups() -> None:
    # A patient's scan as it is and stripped: held out together, reported apart.
    cases = [*cohort(6), entry("A_0_stripped", "p0")]
    groups = parse_groups("first=?_?_0,stripped=*_stripped")
    division = divided(cases, "scratch", 0, count=2, leave_out=GROUPS, groups=groups)
    check(division, cases)
    assert [trial.part for trial in division.trials] == ["A", "B"]
    assert "A_0_stripped" in division.trials[0].held
    assert division.groups == {
        **dict.fromkeys(("A_0_0", "A_3_0", "B_1_0", "B_4_0"), "first"),
        "A_0_stripped": "stripped",
    }
    twice = parse_groups("first=A_*,stripped=*_stripped")
    with pytest.raises(ConfigError, match=r"A_0_stripped \(one case\) would be in the groups"):
        divided(cases, "scratch", 0, count=2, leave_out=GROUPS, groups=twice)


def test_a_patients_other_cases_go_with_it() -> None:
    cases = [entry("A_1", "one"), entry("later", "one"), entry("B_1", "two"), entry("C", "three")]
    assert GROUPS.of(cases) == {"A_1": "A", "later": "A", "B_1": "B"}
    both = [*cases, entry("B_2", "one")]
    with pytest.raises(ConfigError, match=r"A_1, later, B_2 \(one patient\) would be in the group"):
        GROUPS.of(both)
    # A patient with one case is one, too.
    with pytest.raises(ConfigError, match=r"B_1 \(one patient\) would be in the groups B and C"):
        parse_groups("B=B_*,C=*_1").of([entry("B_1", "two")])


def test_a_table_names_cases_and_may_name_more() -> None:
    names = Grouping((("X", "a[1]"), ("Y", "b*"), ("Y", "elsewhere")), exact=True)
    cases = [entry("a[1]", "p"), entry("a1", "q"), entry("b*", "r"), entry("bc", "s")]
    assert names.of(cases) == {"a[1]": "X", "b*": "Y"}
    with pytest.raises(ConfigError, match="no case matches elsewhere"):
        Grouping((("X", "elsewhere"),), exact=True).of(cases)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no group is named"),
        ("A", "'A': expected GROUP=PATTERN"),
        ("=x", "expected GROUP=PATTERN"),
        ("A=", "expected GROUP=PATTERN"),
        ("../x=*", r"'\.\./x' cannot name a group"),
        ("a b=*", "'a b' cannot name a group"),
    ],
)
def test_what_is_no_group_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_groups(text)


def test_a_pattern_for_nothing_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"no case matches D_\*; the store has A_0_0"):
        parse_groups("A=A_*,D=D_*").of(cohort(4))
    with pytest.raises(ConfigError, match="all holds every patient: nobody is left to train"):
        divided(cohort(4), "scratch", 0, count=2, leave_out=parse_groups("all=*"))


@given(st.text(max_size=40))
def test_any_text_is_groups_and_subsets_or_one_message(text: str) -> None:
    for reads in (parse_groups, parse_subsets):
        try:
            reads(text)
        except MrisegError as error:
            assert isinstance(error, ConfigError) and "\n" not in str(error)


def test_subsets() -> None:
    assert parse_subsets("all,t1n+flair, FLAIR,all") == ((), ("T1", "FLAIR"), ("FLAIR",))
    reads = ("T1", "T2", "FLAIR")
    assert checked_subsets([("FLAIR", "T1"), ("T1", "FLAIR")], reads) == (("T1", "FLAIR"),)
    with pytest.raises(ConfigError, match="ADC"):
        checked_subsets([("ADC",)], reads)
    for text in ("", "T1+", "T1+t1n"):
        with pytest.raises(ConfigError, match="subsets"):
            parse_subsets(text)
    assert usual_subsets(reads, saw_gaps=False) == ((),)
    assert usual_subsets(reads, saw_gaps=True) == ((), ("T1",), ("T2",), ("FLAIR",))
    assert usual_subsets(("T1",), saw_gaps=True) == ((),)
    assert [subset_name(each) for each in ((), ("T1", "FLAIR"))] == ["all", "T1+FLAIR"]


@pytest.mark.parametrize(
    ("has", "subset", "used"),
    [
        ("T1 FLAIR ADC", (), ("T1", "FLAIR")),
        ("FLAIR T1", ("FLAIR", "T1"), ("T1", "FLAIR")),
        ("T1", ("FLAIR",), None),
        ("T1 T2", ("T1", "FLAIR"), None),
    ],
)
def test_a_case_without_a_modality_is_not_in_its_subset(
    has: str, subset: tuple[str, ...], used: tuple[str, ...] | None
) -> None:
    assert used_of(has.split(), subset, ("T1", "T2", "FLAIR")) == used


def test_mappings_are_by_case() -> None:
    division = divided(cohort(8), "scratch", 0, count=2)
    assert isinstance(division.patients, Mapping)
    assert division.patients["A_6_0"] == division.patients["A_6_1"] == "p6"
