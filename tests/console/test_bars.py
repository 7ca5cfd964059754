"""A bar in a terminal, with lines above it, and taken away at the end."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mriseg.console.progress import drawing
from mriseg.events import Advanced, Began, Skipped, Wrote
from tests.console.events import EVENTS


def test_a_bar_in_a_terminal_and_lines_above_it() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=120, highlight=False)
    with drawing(console) as draw:
        for event in EVENTS:
            draw(event)
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", file.getvalue())
    for part in ("a notice", "skipped case [1]: it is [bold]broken", "epoch    1", "20/20 steps"):
        assert part in text
    assert "left" in text
    # The cursor was hidden for the bar, and is back.
    assert file.getvalue().rfind("\x1b[?25h") > file.getvalue().rfind("\x1b[?25l") >= 0


def test_the_bar_is_taken_away_when_the_work_fails() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=120)
    with pytest.raises(KeyboardInterrupt), drawing(console) as draw:
        draw(Began("train", 20, "step"))
        raise KeyboardInterrupt
    assert file.getvalue().rfind("\x1b[?25h") > file.getvalue().rfind("\x1b[?25l") >= 0


@given(st.text(), st.text())
def test_every_event_can_be_drawn(name: str, reason: str) -> None:
    for terminal in (False, True):
        file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with drawing(Console(file=file, force_terminal=terminal, width=100)) as draw:
            draw(Began(name, 3, name))
            draw(Advanced(name, 1, {name: 1.0}, name))
            draw(Skipped(name, reason))
            draw(Wrote(Path(name.replace("\0", "")), reason))


def test_a_bar_shows_the_time_left_after_half_a_minute_without_news(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=120, highlight=False)
    with drawing(console) as draw:
        draw(Began("predict", 5, "case"))
        now[0] += 45
        draw(Advanced("predict", 0.5, item="a case of a minute and a half"))
        now[0] += 45
        draw(Advanced("predict", 1.0, item="a case of a minute and a half"))
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", file.getvalue())
    assert "0/5 cases" in text and "1/5 cases" in text and "a case of a minute" in text
    # 45 s for half a case, of five; then 90 s for one.
    assert "6:45 left" in text and "6:00 left" in text


@pytest.mark.parametrize("width", [72, 80, 100, 160])
def test_the_time_left_fits_into_any_usual_terminal(width: int) -> None:
    file = io.StringIO()
    numbers = {"loss": 0.532, "images/s": 12.3, "Dice": 0.71}
    with drawing(Console(file=file, force_terminal=True, width=width)) as draw:
        draw(Began("train", 4100, "step"))
        draw(Advanced("train", 2000, numbers, "epoch 12", left=12345.0))
        draw(Began("predict", 5, "case"))
        draw(Advanced("predict", 1.5, item=f"a_case_with_a_{'very_' * 20}long_name", left=12345.0))
    text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", file.getvalue())
    [training] = [line for line in text.split("\r") if "2000/4100 steps" in line]
    [predicting] = [line for line in text.split("\r") if "1/5 cases" in line]
    for line in (training, predicting):
        assert "3:25:4" in line and line.rstrip().endswith("left") and "━" in line
    assert "epoch 12" in training and "a_case" in predicting
    assert ("Dice 0.71" in training) is (width >= 100)
