"""What can be looked at: the same in a terminal, in a notebook and as a data frame."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mriseg.errors import BackendError, StoreError
from mriseg.overview import shown
from mriseg.overview.shown import Shown, has_desktop, in_notebook
from mriseg.overview.values import Column, Overview
from mriseg.report import html


@dataclass(frozen=True, repr=False)
class Thing(Shown):
    folder: Path
    rows: int = 2

    def overview(self) -> Overview:
        if not self.folder.is_dir():
            raise StoreError(f"{self.folder} is gone")
        return Overview(
            title=f"{self.rows} things",
            records=[{"case": f"c{n}", "dice": n / 3, "more": "x"} for n in range(self.rows)],
            columns=(Column("case", "case"), Column("dice", "Dice")),
            pictures=(self.folder / "a.png", self.folder / "b.png"),
            page=self.folder / html.FILE,
        )


PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU"
    b"\x00\x00\x00\nIDATx\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00\x00\x00\x00IEND\xaeB`\x82"
)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that a browser would open; there is a desktop."""
    addresses: list[str] = []
    monkeypatch.setattr("webbrowser.open", addresses.append)
    monkeypatch.setattr(shown, "has_desktop", lambda: True)
    return addresses


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What a notebook would show; this is one."""
    things: list[Any] = []
    monkeypatch.setattr("IPython.display.display", lambda thing, raw=False: things.append(thing))
    monkeypatch.setattr(shown, "in_notebook", lambda: True)
    return things


def test_in_words(tmp_path: Path) -> None:
    thing = Thing(tmp_path)
    assert repr(thing) == "<Thing: 2 things>"
    assert str(thing).splitlines() == [
        "2 things",
        "  case   Dice",
        "  c0    0.000",
        "  c1    0.333",
    ]
    assert "<strong>2 things</strong>" in thing._repr_html_()


def test_what_cannot_be_read_says_so_where_it_must_not_raise(tmp_path: Path) -> None:
    thing = Thing(tmp_path / "gone")
    for text in (repr(thing), str(thing), thing._repr_html_()):
        assert "Thing that cannot be read" in text and "gone is gone" in text
    with pytest.raises(StoreError):
        thing.show()
    with pytest.raises(StoreError):
        thing.to_pandas()


def test_only_files_that_exist_are_named(tmp_path: Path) -> None:
    thing = Thing(tmp_path)
    assert thing.pictures == () and "page" not in str(thing)
    (tmp_path / "b.png").write_bytes(PNG)
    (tmp_path / html.FILE).write_text("<p>hello</p>")
    assert thing.pictures == (tmp_path / "b.png",)
    assert str(thing).splitlines()[-1] == f"page: {tmp_path / html.FILE}"


def test_a_data_frame_has_all_rows_and_columns(tmp_path: Path) -> None:
    frame = Thing(tmp_path, 50).to_pandas()
    assert list(frame.columns) == ["case", "dice", "more"] and len(frame) == 50
    assert frame["dice"].iloc[1] == 1 / 3


def test_without_pandas_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(BackendError, match="pip install pandas"):
        Thing(tmp_path).to_pandas()


def test_a_terminal_gets_the_numbers_and_a_browser_the_page(
    tmp_path: Path, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Thing(tmp_path).show()
    assert capsys.readouterr().out.startswith("2 things\n") and opened == []
    (tmp_path / "b.png").write_bytes(PNG)
    Thing(tmp_path).show()
    assert capsys.readouterr().out.endswith(f"picture: {tmp_path / 'b.png'}\n")
    (tmp_path / html.FILE).write_text("x")
    Thing(tmp_path).show()
    assert capsys.readouterr().out.endswith(f"page: {tmp_path / html.FILE}\n")
    assert opened == [(tmp_path / name).as_uri() for name in ("b.png", html.FILE)]


def test_without_a_desktop_the_path_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("webbrowser.open", lambda address: pytest.fail("opened"))
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not has_desktop()
    (tmp_path / html.FILE).write_text("x")
    Thing(tmp_path).show()
    assert str(tmp_path / html.FILE) in capsys.readouterr().out
    monkeypatch.setenv("DISPLAY", ":0")
    assert has_desktop()
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setenv("SSH_CONNECTION", "x")
    assert not has_desktop()


def test_a_notebook_gets_numbers_and_pictures(tmp_path: Path, displayed: list[Any]) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    (tmp_path / html.FILE).write_text("x")
    Thing(tmp_path).show()
    table, picture, link = displayed
    assert "<strong>2 things" in table["text/html"]
    assert picture.data == PNG and picture.embed
    assert html.FILE in link._repr_html_()


def test_a_small_page_is_shown_in_the_notebook_where_there_is_no_picture(
    tmp_path: Path, displayed: list[Any]
) -> None:
    (tmp_path / html.FILE).write_text('<p class="x">A &amp; B</p>')
    Thing(tmp_path).show()
    frame = displayed[-1]["text/html"]
    # Apart from the notebook: it can run its own script, and not reach the notebook's page.
    assert 'sandbox="allow-scripts"' in frame and "allow-same-origin" not in frame
    assert 'srcdoc="<p class=&quot;x&quot;>A &amp;amp; B</p>"' in frame
    (tmp_path / html.FILE).write_text("x" * (shown._MAX_PAGE + 1))
    displayed.clear()
    Thing(tmp_path).show()
    assert html.FILE in displayed[-1]._repr_html_()


def test_of_many_pictures_the_first_are_shown(
    tmp_path: Path, displayed: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "_MAX_PICTURES", 1)
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(PNG)
    Thing(tmp_path).show()
    assert len(displayed) == 3
    assert displayed[-1]["text/plain"] == "and 1 more picture: see .pictures"


@pytest.mark.parametrize(
    ("shell", "is_one"),
    [(None, False), (SimpleNamespace(kernel=1), True), (SimpleNamespace(), False)],
)
def test_what_a_notebook_is(monkeypatch: pytest.MonkeyPatch, shell: object, is_one: bool) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert in_notebook() is is_one
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


def test_ipython_in_a_terminal_prints_the_table_and_within_lists_one_line(tmp_path: Path) -> None:
    from IPython.lib.pretty import pretty

    assert pretty(Thing(tmp_path)) == str(Thing(tmp_path))
    assert pretty([Thing(tmp_path)]) == "[<Thing: 2 things>]"
