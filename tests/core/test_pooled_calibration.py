"""Each institution and each subset counts the same, and nobody chooses for themselves."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from mriseg.core.calibration import calibrate, tally
from mriseg.core.metrics import METRICS, CaseScores
from mriseg.core.pooled_calibration import Counted, HeldOut, figures, nested, pooled, weights


def held(case: str, group: str = "", subset: str = "all", part: str = "", who: str = "") -> HeldOut:
    return HeldOut(case, who or case, group, part or group or "fold-1", subset, ("T1",))


def counted(case: int, best: float, voxels: int = 4000) -> Counted:
    """A scan whose Dice is best at a logit of ``best``."""
    generator = np.random.default_rng(case)
    truth = (np.arange(voxels) < voxels // 4).astype(np.uint8)
    logits = np.where(truth, 2.0, -2.0) + best + generator.normal(0, 1, voxels)
    return Counted(
        {"WT": tally(special.expit(logits).astype(np.float32), truth)}, {"WT": (0.8, 0.8, 0.8)}
    )


ROWS = st.lists(
    st.tuples(st.sampled_from("ABC"), st.sampled_from(["all", "T1"]), st.integers(0, 5)),
    min_size=1,
    max_size=30,
    unique=True,
)


@given(ROWS)
def test_groups_and_within_them_subsets_count_the_same(rows: list[tuple[str, str, int]]) -> None:
    # Cases 0 and 1 are of one patient.
    cases = [
        held(f"{group}{n}", group, subset, who=f"{group}{max(n, 1)}") for group, subset, n in rows
    ]
    balance = weights(cases)
    assert sum(balance) == pytest.approx(1)
    total: dict[str, float] = defaultdict(float)
    cells: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for case, weight in zip(cases, balance, strict=True):
        total[case.group] += weight
        cells[case.group, case.subset][case.patient] += weight
    assert list(total.values()) == pytest.approx([1 / len(total)] * len(total))
    for (group, _), people in cells.items():
        subsets = sum(key[0] == group for key in cells)
        assert sum(people.values()) == pytest.approx(1 / len(total) / subsets)
        assert list(people.values()) == pytest.approx(
            [sum(people.values()) / len(people)] * len(people)
        )


def test_the_largest_institution_does_not_choose_for_all() -> None:
    many = [(held(f"a{i}", "A"), counted(i, -2.0, 8000)) for i in range(20)]
    few = [(held(f"b{i}", "B"), counted(90 + i, 2.0, 1000)) for i in range(4)]

    def level(rows: list[tuple[HeldOut, Counted]]) -> float:
        return float(special.logit(pooled(rows, ["WT"])["WT"].own_threshold))

    alone, other = level(many), level(few)
    assert alone == pytest.approx(-2, abs=0.5) and other == pytest.approx(2, abs=0.5)
    together = calibrate([of.tallies["WT"] for _, of in (*many, *few)])
    # By cases it is that of the many; here it is as far from one as from the other.
    assert special.logit(together.own_threshold) < -0.8
    assert abs(level([*many, *few])) < 0.8
    # The same patients once more, in a subset of their own: it counts the same as the other.
    again = [(held(case.case, "A", "T1"), of) for case, of in many]
    assert level([*many, *again, *few]) == pytest.approx(level([*many, *few]), abs=0.1)


def test_nobody_chooses_for_themselves() -> None:
    rows = [
        (held(f"{part}{i}", part), counted(10 * k + i, 2.0 - 2 * k))
        for k, part in enumerate("ABC")
        for i in range(4)
    ]
    by_part = nested(rows, ["WT"])
    assert list(by_part) == ["A", "B", "C"]
    for part, calibrations in by_part.items():
        assert calibrations == pooled([row for row in rows if row[0].part != part], ["WT"])
    other = [(case, counted(7, 9.0)) if case.part == "A" else (case, of) for case, of in rows]
    assert nested(other, ["WT"])["A"] == by_part["A"]
    assert nested(other, ["WT"])["B"] != by_part["B"]


def test_few_patients_calibrate_nothing() -> None:
    rows = [
        (held(f"c{i}", "A", subset, who=f"p{i % 3}"), counted(i, 0.0))
        for i in range(6)
        for subset in ("all", "T1")
    ]
    assert pooled(rows, ["WT"]) == {}
    assert set(pooled([*rows, (held("d", "B"), counted(9, 0.0))], ["WT"])) == {"WT"}


def score(case: str, dice: float) -> CaseScores:
    numbers = dict.fromkeys(METRICS, dice)
    counts = dict.fromkeys(("lesions", "lesions_detected", "lesions_false"), 1)
    return CaseScores(
        case=case, region="WT", unit="mm", volume_pred=1, volume_truth=1, **numbers, **counts
    )  # type: ignore[arg-type]


def test_means_are_over_patients_in_all_and_by_group_and_subset() -> None:
    rows = [
        (held("a", "A", who="p"), score("a", 0.2)),
        (held("b", "A", who="p"), score("b", 0.4)),
        (held("c", "A"), score("c", 0.9)),
        (held("d", "B"), score("d", 0.5)),
        (held("d", "B", "T1"), score("d", math.nan)),
    ]
    by_key = {(f.group, f.subset): f for f in figures(rows) if f.metric == "dice"}
    assert list(by_key) == [("", "all"), ("", "T1"), ("A", "all"), ("B", "all"), ("B", "T1")]
    everybody = by_key["", "all"]
    assert (everybody.patients, everybody.cases, everybody.undefined) == (3, 4, 0)
    assert everybody.mean == pytest.approx((0.3 + 0.9 + 0.5) / 3) and everybody.median == 0.5
    assert everybody.low < everybody.mean < everybody.high
    assert by_key["A", "all"].mean == pytest.approx(0.6)
    assert by_key["B", "T1"].undefined == 1 and math.isnan(by_key["B", "T1"].mean)
    turned = {(f.group, f.subset): f for f in figures(rows[::-1]) if f.metric == "dice"}
    assert turned["", "all"] == everybody
    assert figures([]) == []
