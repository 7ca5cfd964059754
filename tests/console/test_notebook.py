"""The display in a notebook: one cell output that is drawn over, and that keeps its lines."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.console import notebook
from mriseg.console.notebook import Notebook
from mriseg.events import Advanced, Began, Notice, Skipped
from tests.console.events import EVENTS


class Front:
    """Takes the place of a notebook's front end."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []
        self.displays = 0

    def display(self, data: dict[str, str], *, raw: bool, display_id: bool) -> Front:
        self.displays += 1
        self.update(data, raw=raw)
        return self

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        assert raw and set(data) == {"text/html", "text/plain"}
        self.shown.append(data)


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch) -> Front:
    front = Front()
    monkeypatch.setattr("IPython.display.display", front.display)
    return front


def test_a_bar_while_it_runs_and_the_lines_at_the_end(front: Front) -> None:
    drawn = Notebook()
    for event in EVENTS[:3]:
        drawn(event)
    # Other than at the end, bars are not drawn faster than anyone can see.
    assert '<progress value="0" max="20">' in front.shown[-1]["text/html"]
    assert "train 0/20 steps" in front.shown[-1]["text/html"]
    for event in EVENTS[3:]:
        drawn(event)
    drawn.close()
    assert front.displays == 1
    last = front.shown[-1]
    assert "progress" not in last["text/html"]
    assert last["text/plain"].splitlines() == [
        "a notice",
        "skipped case [1]: it is [bold]broken[/bold]",
        "epoch    1  loss 0.2500  Dice 0.5000  1:01  best so far",
        "wrote a [b].txt (file)",
    ]
    assert "<b>epoch    1" in last["text/html"]


def test_what_is_drawn_is_spaced_in_time(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    drawn = Notebook()
    drawn(Began("train", 1000, "step"))
    for step in range(1, 101):
        now[0] += 0.01
        drawn(Advanced("train", step, {"loss": 0.5}, left=90))
    assert 4 <= len(front.shown) <= 6
    assert re.search(r"train \d+/1000 steps, loss 0.5, 1:30 left", front.shown[-1]["text/html"])


def test_of_many_lines_the_first_are_folded(front: Front) -> None:
    drawn = Notebook()
    for number in range(notebook._KEPT + 50):
        drawn(Notice(f"notice {number}."))
    html = front.shown[-1]["text/html"]
    assert f"{notebook._KEPT - notebook._SHOWN} lines before" in html
    assert "notice 49." not in html and "notice 50." in html
    assert len(html) < 100 * notebook._KEPT


def test_nothing_is_displayed_for_work_that_says_nothing(front: Front) -> None:
    Notebook().close()
    assert front.displays == 0


@given(st.text())
def test_names_are_text_and_never_markup(name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        front = Front()
        patch.setattr("IPython.display.display", front.display)
        drawn = Notebook()
        drawn(Skipped(f"<script>{name}", "x"))
        drawn(Began(f"<script>{name}", 3, "case"))
    html: Any = front.shown[-1]["text/html"]
    assert "<script" not in html and "&lt;script&gt;" in html
    assert all(c.isprintable() or c == "\n" for c in html)
