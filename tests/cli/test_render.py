"""What is drawn: plain where there is no terminal, faithful to names, and cleaned up after."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mriseg.cli import render
from mriseg.cli.render import drawing
from mriseg.core.wording import visible
from mriseg.events import Advanced, Began, Measured, Notice, Skipped, Wrote


def _plain_console(width: int = 200) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=False, width=width, highlight=False), file


EVENTS = (
    Notice("a notice"),
    Began("train", 20, "step"),
    Advanced("train", 10, {"loss": 0.5, "images/s": 12.0}),
    Skipped("case [1]", "it is [bold]broken[/bold]"),
    Advanced("train", 20, {"loss": 0.25}),
    Measured(
        "epoch", 1, {"loss": 0.25, "dice": 0.5, "dice_WT": 0.5, "seconds": 61.0}, "best so far"
    ),
    Began("evaluate", 2, "case"),
    Measured("case", 0, {"dice": 0.5}, "case WT"),
    Advanced("evaluate", 2, item="case"),
    Wrote(Path("a [b].txt"), "file"),
)


def test_lines_where_there_is_no_terminal() -> None:
    console, file = _plain_console()
    with drawing(console) as draw:
        for event in EVENTS:
            draw(event)
    assert file.getvalue().splitlines() == [
        "a notice",
        "skipped case [1]: it is [bold]broken[/bold]",
        "train 20/20 steps, loss 0.25",
        "epoch    1  loss 0.2500  Dice 0.5000  1:01  best so far",
        "evaluate 2/2 cases",
        "wrote a [b].txt (file)",
    ]


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


@given(st.text())
def test_no_control_character_is_written(text: str) -> None:
    console, file = _plain_console()
    render.say(console, text)
    assert all(c.isprintable() or c == "\n" for c in file.getvalue())
    if text.isprintable():
        assert file.getvalue() == text + "\n"


@given(st.text(), st.text())
def test_every_event_can_be_drawn(name: str, reason: str) -> None:
    for terminal in (False, True):
        file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with drawing(Console(file=file, force_terminal=terminal, width=100)) as draw:
            draw(Began(name, 3, name))
            draw(Advanced(name, 1, {name: 1.0}, name))
            draw(Skipped(name, reason))
            draw(Wrote(Path(name.replace("\0", "")), reason))


def test_names_that_are_not_utf8_are_written_out() -> None:
    assert visible("caf\udce9\x1b[2J\t") == r"caf\udce9\x1b[2J\t"


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


def test_json_alone_on_stdout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = {"a": [1, None]}
    assert render.as_json("-", data)
    assert json.loads(capsys.readouterr().out) == data
    assert not render.as_json(None, data) and not render.as_json(str(tmp_path / "x.json"), data)
    assert capsys.readouterr().out == ""
    assert json.loads((tmp_path / "x.json").read_text()) == data


def test_an_error_and_a_stop_are_labelled(capsys: pytest.CaptureFixture[str]) -> None:
    render.fail("no such [folder]")
    render.stop("finished masks are complete")
    assert capsys.readouterr().err == (
        "error: no such [folder]\nstopped: finished masks are complete\n"
    )
