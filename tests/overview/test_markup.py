"""An overview as HTML and as text: small, escaped, and the same for whatever it is of."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mriseg.overview.markup import HTML_ROWS, TEXT_ROWS, as_html, as_text
from mriseg.overview.values import Column, Overview

OVERVIEW = Overview(
    title="2 cases",
    facts=(("regions", "WT"), ("parent", "")),
    records=({"case": "a", "dice": 0.5, "more": 1}, {"case": "bcd", "dice": None}),
    columns=(Column("case", "case"), Column("dice", "Dice")),
    notes=("a note",),
    page=Path("out/report.html"),
)


class Tags(HTMLParser):
    """Collects elements, and whether each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.all: set[str] = set()
        self.data = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)
        self.all.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.data += f" {data}"


def test_text() -> None:
    assert as_text(OVERVIEW).splitlines() == [
        "2 cases",
        "  regions  WT",
        "  case   Dice",
        "  a     0.500",
        "  bcd       -",
        "a note",
        f"page: {Path('out/report.html')}",
    ]


def test_html() -> None:
    html = as_html(OVERVIEW)
    tags = Tags()
    tags.feed(html)
    assert not tags.open
    assert "0.500" in tags.data and "more" not in tags.data and "parent" not in tags.data
    # No style but alignment: a notebook's own theme decides, light or dark.
    assert set(re.findall(r'style="([^"]*)"', html)) == {"text-align:left", "text-align:right"}
    assert '<td style="text-align:right">0.500</td>' in html


def test_long_tables_are_cut_and_say_so() -> None:
    many = Overview("t", records=[{"n": n} for n in range(1000)], columns=(Column("n", "n"),))
    assert f"and {1000 - HTML_ROWS} more: to_pandas() has all" in as_html(many)
    assert len(as_html(many)) < 3000
    assert f"and {1000 - TEXT_ROWS} more" in as_text(many)
    assert len(as_text(many).splitlines()) == TEXT_ROWS + 3


def test_without_a_table() -> None:
    assert as_text(Overview("t", records=({"a": 1},))) == "t"
    assert "<table" not in as_html(Overview("t", records=({"a": 1},)))


@given(st.text())
def test_names_are_text_and_never_markup(name: str) -> None:
    foreign = f"<img src=x onerror=alert(1)>{name}"
    overview = Overview(
        foreign,
        ((foreign, foreign),),
        ({"a": foreign, "b": (foreign,)},),
        (Column("a", foreign), Column("b", "b")),
        (foreign,),
    )
    tags = Tags()
    tags.feed(as_html(overview))
    assert tags.all <= {"div", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    for shown in (as_html(overview), as_text(overview)):
        assert all(c.isprintable() or c == "\n" for c in shown)
