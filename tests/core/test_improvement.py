"""Nobody learns and tests, nobody who is kept aside ever learns, and a verdict needs patients."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.improvement import NEEDED, TO_SHOW, judge, prospect, sides
from mriseg.errors import ConfigError, InputError

names = st.integers(0, 60).map(lambda number: f"p{number:02d}")


@given(st.lists(st.sets(names, min_size=1, max_size=12), min_size=1, max_size=5))
def test_through_all_rounds_who_is_kept_aside_stays_so_and_never_learnt(
    arrivals: list[set[str]],
) -> None:
    corrected: set[str] = set()
    held: set[str] = set()
    learnt: set[str] = set()
    for newcomers in arrivals:
        corrected |= newcomers
        try:
            two = sides(corrected, held_out=held, barred=learnt)
        except ConfigError:
            assert len(corrected) < NEEDED or len(corrected - held - learnt) < 2
            continue
        assert {*two.learn} | {*two.test} == corrected
        assert not {*two.learn} & {*two.test}
        assert held <= {*two.test} and not learnt & {*two.test}
        assert two == sides(sorted(corrected), held_out=sorted(held), barred=sorted(learnt))
        held |= {*two.test}
        learnt |= {*two.learn}
        assert not held & learnt


@pytest.mark.parametrize(
    ("count", "test"), [(4, 2), (5, 2), (8, 4), (12, 6), (13, 6), (24, 6), (25, 7), (40, 10)]
)
def test_half_is_kept_aside_until_that_can_show_something_then_a_quarter(
    count: int, test: int
) -> None:
    two = sides([f"p{n}" for n in range(count)], held_out=(), barred=())
    assert (len(two.test), len(two.learn)) == (test, count - test)


def test_too_few_patients_are_refused_with_what_is_needed() -> None:
    with pytest.raises(ConfigError, match="3 corrected patients, of whom 2 could be learnt from"):
        sides(["a", "b", "c"], held_out=(), barred=())
    with pytest.raises(ConfigError, match="the model knows 4 of them already: at least 2 and 2"):
        sides(["a", "b", "c", "d", "e"], held_out=(), barred=["a", "b", "c", "d"])


def test_better_in_all_of_six_is_in_use() -> None:
    old = {f"p{n}": 0.7 + 0.01 * n for n in range(TO_SHOW)}
    new = {name: dice + 0.05 + 0.001 * place for place, (name, dice) in enumerate(old.items())}
    judgement = judge(old, new)
    assert judgement.better and judgement.gained == 6
    assert judgement.verdict.startswith(
        "Dice 0.72 to 0.78 on 6 patients kept aside, better in 6 of 6: the new model helps by 0.05"
    )
    assert judgement.verdict.endswith("; the new model is in use from now on")
    back = judge(new, old)
    assert not back.better and "the old model: better by 0.05" in back.verdict
    assert back.verdict.endswith("; the old model stays in use")


def test_too_few_are_too_few_however_much_better() -> None:
    old = {f"p{n}": 0.1 for n in range(TO_SHOW - 1)}
    judgement = judge(old, {name: 0.9 + n / 100 for n, name in enumerate(old)})
    assert not judgement.better
    assert "better in 5 of 5: too few to say (6 are the fewest" in judgement.verdict
    assert "12 corrected patients are needed" in prospect(5) and prospect(6) == ""


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_only_a_verdict_that_says_so_makes_it_better(dice: list[tuple[float, float]]) -> None:
    old, new = ({f"p{n}": pair[side] for n, pair in enumerate(dice)} for side in (0, 1))
    judgement = judge(old, new)
    assert judgement.better == ("the new model helps by" in judgement.verdict)
    assert judgement.better == ("the new model is in use" in judgement.verdict)
    if judgement.better:
        assert judgement.difference.low > 0 and judgement.difference.p < 0.05


def test_other_patients_on_both_sides_are_refused() -> None:
    with pytest.raises(InputError, match="only one side has b"):
        judge({"a": 0.1}, {"a": 0.1, "b": 0.2})
