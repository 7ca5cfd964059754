"""How long a training is said to take, from what its first steps took."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mriseg.recipes.pace import Outlook, Pace, too_short, validations_left

LONG = Outlook(
    epochs=50,
    batches=82,
    width=64,
    steps_left=4100,
    step_seconds=24.0,
    endings_left=50,
    ending=420.0,
    validates=True,
    narrower=True,
    shorter=True,
)


def test_the_first_window_counts_until_there_is_another() -> None:
    pace = Pace()
    assert not pace.is_known and pace.step(low_res=False) == 0
    pace.add(1, 9.0, low_res=False)
    assert pace.is_known and not pace.is_warm and pace.step(low_res=False) == 9
    pace.add(10, 20.0, low_res=False)
    assert pace.is_warm and pace.step(low_res=False) == 2
    pace.add(10, 40.0, low_res=False)
    assert pace.step(low_res=False) == 3
    # What was long ago says little of a machine that is busier now.
    for _ in range(20):
        pace.add(1, 5.0, low_res=False)
    assert pace.step(low_res=False) == 5


def test_steps_at_full_resolution_take_longer_than_those_at_half() -> None:
    pace = Pace(low_res_share=0.5)
    for _ in range(2):
        pace.add(1, 2.0, low_res=True)
    # A third, until it is measured.
    assert pace.step(low_res=False) == 6
    assert pace.seconds(0, 100) == 50 * 2 + 50 * 6
    assert pace.seconds(80, 100) == 20 * 6
    # 400 s are 200 s at each.
    assert pace.steps_in(400, 400) == pytest.approx(200 / 2 + 200 / 6)
    assert pace.steps_in(100, 400) == pytest.approx(100 / 6)
    pace.add(1, 5.0, low_res=False)
    assert pace.seconds(0, 100) == 50 * 2 + 50 * 5


def test_a_long_training_says_what_would_take_less() -> None:
    assert LONG.sentence() == (
        "about 33 h on this machine (50 epochs of 82 steps at width 64, 24 s a step, 7 min a "
        "validation); --width 16 --budget 30m would take 30 minutes"
    )
    for change, end in (
        ({"width": 16}, "; --budget 30m would take 30 minutes"),
        ({"narrower": False}, "; --budget 30m would take 30 minutes"),
        # A run that resumes keeps its settings.
        ({"shorter": False}, "7 min a validation)"),
        ({"steps_left": 100, "endings_left": 2}, "7 min a validation)"),
        ({"validates": False, "shorter": False}, "24 s a step)"),
    ):
        text = replace(LONG, **change).sentence()
        assert text.endswith(end) and text.count(";") == end.count(";"), text


def test_a_budget_says_how_far_it_goes() -> None:
    brief = replace(LONG, epochs=None, steps_left=67.3, step_seconds=1.9, ending=39.0, width=8)
    assert brief.sentence() == (
        "the budget is enough for about 67 steps more on this machine (1.9 s a step at width 8) "
        "and 39 s for the validation at the end"
    )
    assert "about 1 step more" in replace(brief, steps_left=0.4).sentence()
    assert "39 s for the end" in replace(brief, validates=False).sentence()
    assert "a budget of 60 s is too short here" in too_short(60.0, 95.0)
    assert "take about 95 s" in too_short(60.0, 95.0)


def test_the_last_epoch_is_always_validated() -> None:
    assert validations_left(0, 10, 1) == 10
    assert validations_left(0, 10, 4) == 3
    assert validations_left(8, 10, 4) == 1
    assert validations_left(10, 10, 1) == 0
