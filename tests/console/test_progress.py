"""When progress is shown to Python users, and where."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from mriseg.console import progress
from mriseg.console.bars import Bars
from mriseg.console.lines import Lines
from mriseg.console.notebook import Notebook
from mriseg.console.progress import show_progress, showing
from mriseg.events import Notice


@pytest.fixture(autouse=True)
def _as_at_the_start() -> Iterator[None]:
    yield
    show_progress(None)


def _console(*, terminal: bool = False, jupyter: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, force_jupyter=jupyter)


@pytest.mark.parametrize(
    ("console", "kind"),
    [
        (_console(), None),
        (_console(terminal=True), Bars),
        (_console(terminal=True, jupyter=True), Notebook),
    ],
)
def test_in_terminals_and_notebooks_and_not_in_a_script_of_a_pipe(
    monkeypatch: pytest.MonkeyPatch, console: Console, kind: type | None
) -> None:
    monkeypatch.setattr(progress, "messages", lambda: console)
    with showing(None) as handle:
        assert handle is None if kind is None else type(handle) is kind


def test_nothing_is_shown_in_a_test() -> None:
    with showing(None) as handle:
        assert handle is None


def test_it_can_be_asked_for_and_turned_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    show_progress(True)
    with showing(None) as handle:
        assert type(handle) is Lines
        handle(Notice("as a line"))
    assert capsys.readouterr().err == "as a line\n"
    monkeypatch.setattr(progress, "messages", lambda: _console(terminal=True))
    show_progress(False)
    with showing(None) as handle:
        assert handle is None


def test_a_caller_who_handles_events_sees_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "messages", lambda: _console(terminal=True))
    events: list[object] = []
    with showing(events.append) as handle:
        assert handle == events.append


def test_the_bar_is_taken_away_when_the_work_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(progress, "messages", lambda: _console(terminal=True))
    monkeypatch.setattr(Bars, "close", lambda self: closed.append(True))
    with pytest.raises(ValueError), showing(None):
        raise ValueError
    assert closed == [True]
