"""Scores become means, paired differences and a verdict, whatever else is compared."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from mriseg.core.comparison import BASELINE, METHODS, USUAL, Score, chosen_methods, compared
from mriseg.errors import ConfigError, InputError

LIFT = {"scratch": 0.0, "full": 0.1, "lp-ft": 0.2, "frozen-random": 0.3, "frozen-encoder": -0.1}


def scored(
    methods: tuple[str, ...] = tuple(LIFT), patients: int = 10, seeds: int = 2, lift: Any = None
) -> list[Score]:
    """Each method better than scratch by its lift, up to a spread over the patients."""
    lift = lift or LIFT
    return [
        Score(
            method=method,
            size=size,
            patients=5 if size == "5" else 8,
            seed=seed,
            fold=1 + patient % 2,
            patient=f"p{patient}",
            case=f"p{patient}",
            dice=0.4 + lift[method] + 0.01 * (patient % 3) * (method != "scratch") + 0.02 * seed,
            regions={"WT": 0.4},
            seconds=60.0 + seed,
        )
        for size in ("5", "all")
        for method, seed, patient in product(methods, range(seeds), range(patients))
    ]


def test_a_cell_holds_the_mean_of_patients_and_of_each_seed() -> None:
    comparison = compared(scored())
    cell = comparison.cells[0]
    assert (cell.method, cell.size, cell.patients, cell.trainings) == ("scratch", "5", 5, 4)
    assert cell.dice.mean == pytest.approx(0.41) and cell.dice.patients == 10
    assert cell.seeds == pytest.approx((0.40, 0.42)) and cell.seconds == 60.5
    assert [c.size for c in comparison.cells] == ["5"] * 5 + ["all"] * 5


def test_every_method_is_compared_with_the_baseline() -> None:
    comparison = compared(scored())
    contrasts = [c for c in comparison.contrasts if c.size == "5"]
    assert [(c.method, c.against) for c in contrasts] == [
        *((name, "scratch") for name in LIFT if name != "scratch"),
        ("frozen-encoder", "frozen-random"),
    ]
    by = {c.method: c for c in contrasts if c.against == BASELINE}
    for name, contrast in by.items():
        assert contrast.difference.mean == pytest.approx(LIFT[name] + 0.009)
        assert contrast.difference.patients == 10
        # All ten patients on one side: 2 of 1024 assignments, times four methods.
        assert contrast.difference.p == 2 / 1024 and contrast.corrected == 8 / 1024
    assert by["frozen-encoder"].verdict.startswith("train from scratch: better by 0.09")
    assert contrasts[-1].verdict.startswith("frozen-random: better by 0.40")


def test_the_verdict_is_of_the_best_that_transfers_something() -> None:
    # frozen-random is better still, but transfers nothing.
    assert compared(scored()).verdicts["all"].startswith("transfer (lp-ft) helps by 0.21 [")
    worse = compared(scored(("scratch", "frozen-encoder")))
    assert worse.verdicts["5"].startswith("train from scratch: better by 0.09 [")
    few = compared(scored(patients=5))
    assert few.verdicts["5"].startswith("no difference could be shown: 0.21 [")
    control = compared(scored(("scratch", "frozen-random")))
    assert "no method of this comparison transfers anything" in control.verdicts["5"]


def test_more_methods_make_a_difference_harder_to_show() -> None:
    alone = compared(scored(("scratch", "lp-ft"), patients=7))
    beside = compared(scored(patients=7))
    one, other = (
        next(c for c in comparison.contrasts if c.method == "lp-ft")
        for comparison in (alone, beside)
    )
    assert one.difference == other.difference
    assert one.verdict.startswith("lp-ft") and "could be shown" in other.verdict
    assert one.corrected < 0.05 < other.corrected


def test_an_incomplete_comparison_is_refused() -> None:
    scores = scored()
    lost = next(s for s in scores if s.method == "full" and s.patient == "p3")
    kept = [s for s in scores if (s.method, s.patient) != (lost.method, lost.patient)]
    with pytest.raises(InputError, match="only one side has p3"):
        compared(kept)


def test_a_row_has_one_column_per_region() -> None:
    row = scored()[0].to_row()
    assert row["dice_WT"] == 0.4 and "regions" not in row and row["patient"] == "p0"


def test_the_baseline_is_always_among_the_methods() -> None:
    assert chosen_methods(None) == USUAL and USUAL[0] == BASELINE
    assert chosen_methods(("full", "full", "scratch")) == ("scratch", "full")
    with pytest.raises(ConfigError, match=r"there is no fulll; known: scratch, frozen-random"):
        chosen_methods(("fulll",))
    for none in ((), ("scratch",)):
        with pytest.raises(ConfigError, match="at least one to compare with scratch"):
            chosen_methods(none)


def test_the_table_of_methods_is_read_only_and_each_says_what_it_is() -> None:
    with pytest.raises(TypeError):
        METHODS["mine"] = METHODS["full"]  # type: ignore[index]
    assert all(method.what for method in METHODS.values())
    assert not METHODS[BASELINE].transfers and not METHODS["frozen-random"].transfers
    assert METHODS["full"].transfers and METHODS["frozen-encoder"].transfers
