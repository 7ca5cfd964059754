"""Lines where there is no terminal: one per event, faithful to names."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from mriseg.console.lines import say
from mriseg.console.progress import drawing
from mriseg.events import Notice
from tests.console.events import EVENTS


def _plain_console(width: int = 200) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=False, width=width, highlight=False), file


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


@given(st.text())
def test_no_control_character_is_written(text: str) -> None:
    console, file = _plain_console()
    say(console, text)
    assert all(c.isprintable() or c == "\n" for c in file.getvalue())
    if text.isprintable():
        assert file.getvalue() == text + "\n"


def test_a_notice_is_said_once() -> None:
    console, file = _plain_console()
    with drawing(console) as draw:
        for text in ("one", "two", "one"):
            draw(Notice(text))
    assert file.getvalue().splitlines() == ["one", "two"]
