"""Splits never part a patient; plans are exact, complete and a pure function."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.epoch_plan import BatchPlan, share
from mriseg.core.sampling import (
    CaseEntry,
    Split,
    VolumeIndex,
    folds,
    lookalikes,
    patients,
    plan_epoch,
    split,
    split_by_name,
    subset,
)
from mriseg.core.volume import SliceRef
from mriseg.errors import ConfigError


def case(
    name: str,
    patient: str = "",
    content: str = "",
    counts: Any = ((1,), (0,)),
    labelled: bool = True,
) -> CaseEntry:
    foreground = np.asarray(counts, dtype=np.int64)
    shape = (len(foreground), 32, 32)
    return CaseEntry(name, patient or name, shape, ("T1",), foreground, labelled, content)


@st.composite
def cohorts(draw: st.DrawFn) -> list[CaseEntry]:
    count = draw(st.integers(2, 12))
    return [
        case(
            f"case{i}",
            patient=f"p{draw(st.integers(0, 8))}",
            content=draw(st.sampled_from(("", "", "x", "y", f"c{i}"))),
        )
        for i in range(count)
    ]


@given(cohorts(), st.floats(0.01, 0.99), st.integers(0, 5))
def test_a_split_parts_no_patient_and_no_scan(
    cases: list[CaseEntry], fraction: float, seed: int
) -> None:
    if len(patients(cases)) < 2:
        with pytest.raises(ConfigError, match="two labelled patients"):
            split(cases, fraction, seed)
        return
    parts = split(cases, fraction, seed)
    assert parts.train and parts.validation
    assert sorted(parts.train + parts.validation) == sorted(c.name for c in cases)
    by_name = {c.name: c for c in cases}
    train = [by_name[name] for name in parts.train]
    held = [by_name[name] for name in parts.validation]
    assert not {c.patient for c in train} & {c.patient for c in held}
    assert not {c.content for c in train if c.content} & {c.content for c in held if c.content}
    assert split(list(reversed(cases)), fraction, seed) == parts


@given(cohorts(), st.integers(2, 6), st.integers(0, 5))
def test_folds_hold_each_patient_out_once(cases: list[CaseEntry], count: int, seed: int) -> None:
    groups = [{c.name for c in group} for group in patients(cases)]
    if len(groups) < count:
        with pytest.raises(ConfigError, match=f"divided into {count} folds"):
            folds(cases, count, seed)
        return
    parts = folds(cases, count, seed)
    assert len(parts) == count
    assert sorted(name for part in parts for name in part.validation) == sorted(
        c.name for c in cases
    )
    for part in parts:
        assert sorted(part.train + part.validation) == sorted(c.name for c in cases)
        assert all(g <= set(part.validation) or g <= set(part.train) for g in groups)
    held = [sum(g <= set(part.validation) for g in groups) for part in parts]
    assert max(held) - min(held) <= 1
    assert folds(list(reversed(cases)), count, seed) == parts


@given(cohorts(), st.integers(0, 5))
def test_subsets_are_nested_and_of_whole_patients(cases: list[CaseEntry], seed: int) -> None:
    groups = [{c.name for c in group} for group in patients(cases)]
    before: set[str] = set()
    for count in range(1, len(groups) + 1):
        names = subset(cases, count, seed)
        assert before < set(names) and sum(g <= set(names) for g in groups) == count
        assert subset(list(reversed(cases)), count, seed) == names
        before = set(names)
    assert before == {c.name for c in cases}
    for count in (0, len(groups) + 1):
        with pytest.raises(ConfigError, match=f"{count} patients cannot be chosen"):
            subset(cases, count, seed)


def test_seeds_give_different_folds_and_subsets() -> None:
    cases = [case(f"case{i}") for i in range(12)]
    assert len({folds(cases, 3, seed) for seed in range(6)}) == 6
    assert len({subset(cases, 4, seed) for seed in range(6)}) == 6


def test_patients_are_joined_through_a_chain() -> None:
    chain = [case("a", "p", "1"), case("b", "q", "2"), case("c", "r", "3"), case("d", "p", "2")]
    groups = patients([*chain, case("e", "r", "1")])
    assert len(groups) == 1


def test_scans_that_look_alike_are_one_patient_and_that_is_reported() -> None:
    looks = {
        letter: (("T1", b64encode(np.random.default_rng(seed).bytes(256)).decode()),)
        for seed, letter in enumerate("xyz")
    }
    cases = [
        replace(case(name, patient), fingerprint=looks[look])
        for name, patient, look in (
            ("a", "p", "x"), ("b", "q", "y"), ("c", "r", "x"), ("d", "q", "y"), ("e", "s", "z")
        )
    ]  # fmt: skip
    assert [[c.name for c in group] for group in patients(cases)] == [["a", "c"], ["b", "d"], ["e"]]
    # That b and d are one patient is known by name.
    assert [(a.name, b.name, how) for a, b, how in lookalikes(cases)] == [("a", "c", 1)]
    with pytest.raises(ConfigError, match=r"a, c are of one patient \(or one scan"):
        split_by_name(cases, ["a"])
    assert patients([]) == [] and lookalikes([]) == []


@given(st.integers(0, 20))
def test_a_new_patient_hardly_moves_the_others(seed: int) -> None:
    cases = [case(f"patient{i}") for i in range(20)]
    before = set(split(cases, 0.2, seed).validation)
    after = set(split([*cases, case("new")], 0.2, seed).validation)
    assert len(before - after) <= 1


def test_the_fraction_is_of_patients() -> None:
    cases = [case(f"case{i}") for i in range(10)]
    assert len(split(cases, 0.2, 0).validation) == 2
    assert split(cases, 0.2, 0) != split(cases, 0.2, 1)


def test_validation_cases_may_be_named() -> None:
    cases = [case("a", "p"), case("b", "p"), case("c", content="x"), case("d", content="x")]
    parts = split_by_name(cases, ["b", "a", "b"])
    assert parts == Split(("c", "d"), ("a", "b"))
    for names, said in (
        (["a"], "a, b are of one patient"),
        (["a", "b", "c"], "c, d are of one patient"),
        (["z"], "no usable labelled case z; the labelled cases are a, b, c, d"),
        (["a", "b", "c", "d"], "0 cases would train"),
        ([], "0 validate"),
    ):
        with pytest.raises(ConfigError, match=said):
            split_by_name(cases, names)


@st.composite
def indices(draw: st.DrawFn) -> VolumeIndex:
    cases = []
    for number in range(draw(st.integers(1, 4))):
        slices = draw(st.lists(st.integers(0, 1), min_size=1, max_size=12))
        labelled = number == 0 or draw(st.booleans())
        counts = [(value, 0) for value in slices] if labelled else [(0, 0)] * len(slices)
        cases.append(case(f"case{number}", counts=counts, labelled=labelled))
    return VolumeIndex(tuple(cases), ("T1",), {"WT": (1, 2), "ET": (4,)})


def plans(index: VolumeIndex, **options: Any) -> Sequence[BatchPlan]:
    defaults = {
        "regions": ("WT",),
        "batch_size": 4,
        "tumour_fraction": 0.5,
        "slices": None,
        "seed": 0,
        "epoch": 0,
    }
    return plan_epoch(index, **(defaults | options))


def refs(batches: Sequence[BatchPlan]) -> list[SliceRef]:
    return [ref for batch in batches for ref in batch.refs]


def is_positive(index: VolumeIndex, ref: SliceRef) -> bool:
    return bool(index[ref.case].foreground[ref.slice, 0])


@given(
    indices(),
    st.integers(1, 5),
    st.sampled_from((0.0, 0.25, 0.5, 1.0)),
    st.one_of(st.none(), st.integers(1, 40)),
    st.integers(0, 3),
)
def test_a_plan_is_whole_sorted_exact_and_repeatable(
    index: VolumeIndex, batch_size: int, fraction: float, slices: int | None, epoch: int
) -> None:
    options = {
        "batch_size": batch_size,
        "tumour_fraction": fraction,
        "slices": slices,
        "epoch": epoch,
    }
    batches = plans(index, **options)
    assert batches and all(len(batch.refs) == batch_size for batch in batches)
    assert all(list(batch.refs) == sorted(batch.refs) for batch in batches)
    assert all(index[ref.case].labelled for ref in refs(batches))
    assert plans(index, **options) == batches

    kinds = [bool(v) for c in index.cases if c.labelled for v in c.foreground[:, 0]]
    share = fraction if len(set(kinds)) == 2 else float(kinds[0])
    hits = sum(is_positive(index, ref) for ref in refs(batches))
    assert hits == round(share * batch_size * len(batches))
    if slices is not None:
        assert abs(batch_size * len(batches) - slices) <= max(batch_size / 2, batch_size - slices)


@given(indices(), st.integers(1, 4), st.integers(1, 12))
def test_every_slice_comes_once_before_any_comes_again(
    index: VolumeIndex, batch_size: int, slices: int
) -> None:
    seen: dict[bool, list[SliceRef]] = {True: [], False: []}
    for epoch in range(6):
        for ref in refs(plans(index, batch_size=batch_size, slices=slices, epoch=epoch)):
            seen[is_positive(index, ref)].append(ref)
    for kind, drawn in seen.items():
        all_of_it = {
            SliceRef(c.name, z)
            for c in index.cases
            if c.labelled
            for z, value in enumerate(c.foreground[:, 0])
            if bool(value) is kind
        }
        counts = Counter(drawn)
        assert set(counts) <= all_of_it
        if drawn:
            # Over any number of epochs, no slice is more than a round ahead of another.
            assert max(counts.values()) - min(counts[ref] for ref in all_of_it) <= 1


@given(indices(), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2))
def test_shares_divide_a_batch_evenly_and_in_its_order(
    index: VolumeIndex, world: int, batch_size: int, epoch: int
) -> None:
    for plan in plans(index, batch_size=batch_size, epoch=epoch):
        shares = [share(plan, rank, world).refs for rank in range(world)]
        assert Counter(ref for own in shares for ref in own) == Counter(plan.refs)
        sizes = [len(own) for own in shares]
        assert max(sizes) - min(sizes) <= 1 and sizes == sorted(sizes, reverse=True)
        assert all(list(own) == sorted(own) for own in shares)
        # Row k of rank r is row k * world + r of the batch.
        assert all(
            ref == plan.refs[k * world + rank]
            for rank, own in enumerate(shares)
            for k, ref in enumerate(own)
        )
    assert share(plan, 0, 1) == plan


def test_epochs_and_seeds_differ() -> None:
    index = VolumeIndex((case("a", counts=[(z % 2,) for z in range(40)]),), ("T1",), {"WT": (1,)})
    drawn = [refs(plans(index, epoch=epoch, seed=seed)) for epoch in (0, 1) for seed in (0, 1)]
    assert all(one != other for one, other in pairwise(drawn))


def test_an_epoch_shows_each_positive_slice_once() -> None:
    counts = [(1,)] * 8 + [(0,)] * 30
    index = VolumeIndex((case("a", counts=counts),), ("T1",), {"WT": (1,)})
    drawn = Counter(refs(plans(index)))
    assert all(drawn[SliceRef("a", z)] == 1 for z in range(8))
    assert drawn.total() == 16 and max(drawn.values()) == 1


def test_only_the_regions_asked_for_make_a_slice_positive() -> None:
    index = VolumeIndex(
        (case("a", counts=[(1, 0), (1, 1), (0, 0)]),), ("T1",), {"WT": (1, 2), "ET": (4,)}
    )
    drawn = refs(plans(index, regions=("ET",), tumour_fraction=1.0))
    assert set(drawn) == {SliceRef("a", 1)}


def test_nothing_to_draw_is_reported() -> None:
    index = VolumeIndex((case("a", labelled=False),), ("T1",), {"WT": (1,)})
    with pytest.raises(ConfigError, match="no labelled case is left"):
        plans(index)


def test_the_index_looks_up_cases_by_name() -> None:
    index = VolumeIndex((case("a", counts=[(512,)]), case("b")), ("T1",), {"WT": (1,)})
    assert index["b"].name == "b"
    assert [c.name for c in index.only(["b", "z"]).cases] == ["b"]
    with pytest.raises(KeyError):
        index["z"]
