"""Pages are well-formed, ask for nothing, escape what they are given, and split where large."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.wording import visible
from mriseg.errors import OutputError
from mriseg.report import html
from mriseg.report.chart_style import Vector
from mriseg.report.charts import dice_of_cases, learning_curves
from mriseg.report.page import (
    About,
    Card,
    Cards,
    CaseEntry,
    Cell,
    Chart,
    Citation,
    Column,
    Facts,
    Flag,
    Items,
    Links,
    Methods,
    Page,
    Picture,
    Section,
    Table,
    Viewer,
    Words,
    number,
)
from tests.pages import ABOUT, checked, png


@cache
def charts() -> tuple[Chart, Chart]:
    points, curves = Vector(), Vector()
    dice_of_cases(points, {"WT <&>": [0.5, 0.9], "ET": [0.1, 0.7]}, "")
    learning_curves(curves, [{"epoch": 1, "loss": 0.5, "dice": 0.1}], "")
    return Chart(points.svg, "points"), Chart(curves.svg, "curves", "by epoch")


def entry(name: str, size: int = 100, viewer: Viewer | str | None = None) -> CaseEntry:
    return CaseEntry(
        name=name,
        place=re.sub(r"\W", "_", name) or "x",
        size=size,
        flags=(Flag("empty mask", "warn"),),
        blocks=lambda: (Picture(png(), f"slices of {name}"), Facts((("channels", "T1"),))),
        viewer=None if viewer is None else lambda _: viewer,
    )


def a_page(name: str = "case", count: int = 2, about: About = ABOUT, **changes: object) -> Page:
    names = [f"{name}{number}" for number in range(count)]
    entries = tuple(entry(name) for name in names)
    table = Table(
        f"Table of {name}",
        (Column("case"), Column("mL", numeric=True)),
        tuple((Cell(e.name, case=e.place), number(12.5)) for e in entries),
    )
    card = Card(name, Picture(png(), name), (name,), (Flag(name, "good"),))
    blocks = (table, Words((name,)), Items((name,) * 20, "case"), *charts())
    more = (Cards((card, Card(name, None))), Links(((name, f"a b/{name}.html"),)))
    page = Page(
        kind="Prediction",
        title=name,
        lead=name,
        about=about,
        tiles=(("Cases", str(count), name),),
        sections=(Section("First", blocks),),
        cases=entries,
        closing=(Section("Last", more),),
        methods=Methods("We did.", (Citation("A", "A. B.", "https://doi.org/10.1/x"),)),
    )
    return replace(page, **changes)


def test_a_page_is_well_formed_and_asks_for_nothing() -> None:
    text = html.render(a_page())
    page = checked(text)
    for said in ("mriseg predict scans/ masks/", "has no image", "no modality in its name"):
        assert said in page.text
    assert text.count(ABOUT.created) == 1  # all that changes of itself
    assert [a["href"] for a in page.all("a") if a["href"].startswith("http")] == [  # type: ignore[union-attr]
        "https://doi.org/10.1/x"
    ]
    assert not re.search(r"url\((?!#)|@import|<link(?! rel=\"icon\" href=\"data:,\")", text)


def test_the_same_values_give_the_same_bytes() -> None:
    assert html.render(a_page()) == html.render(a_page())


ODD = st.text(
    st.sampled_from("<>&\"'`=/ {}%#\\\n\t\x00\x1b\u202e\u200f\u05d0\udc80abc é"),
    min_size=1,
    max_size=12,
) | st.sampled_from(
    ["<script>alert(1)</script>", '" onload="x', "</style><b>", "{{ 7*7 }}", "\u202egnp.exe"]
)


@given(name=ODD)
def test_whatever_names_hold_is_text(name: str) -> None:
    notes = replace(
        ABOUT, command=name, notices=(name,), skipped=((name, name),), unused={name: name}
    )
    plain, strange = (
        checked(html.render(a_page(n, about=a))) for n, a in (("x", ABOUT), (name, notes))
    )
    assert [tag for tag, _ in strange.tags] == [tag for tag, _ in plain.tags]
    assert len(strange.all("script")) == 1
    assert not any("\ud800" <= c <= "\udfff" or c in "\x00\x1b\u202e" for c in strange.text)
    if "{{" in name:
        assert visible(name) in strange.text


def test_the_policy_allows_our_script_alone() -> None:
    text = html.render(a_page())
    [script] = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src &#39;sha256-{digest}&#39;" in text


def test_a_viewer_brings_its_own_script_and_style_once() -> None:
    viewer = Viewer("<canvas></canvas>", ("let a = '<';",), ("canvas { width: 1px; }",))
    entries = (entry("a", viewer=viewer), entry("b", viewer="there is <none>"))
    text = html.render(a_page(count=0, cases=(*entries, entry("c", viewer=viewer))))
    elements = checked(text)
    assert len(elements.all("script")) == 2 and len(elements.all("canvas")) == 2
    assert text.count("canvas { width: 1px; }") == 1 and "there is <none>" in elements.text
    digest = base64.b64encode(hashlib.sha256(b"let a = '<';").digest()).decode()
    assert digest in text and text.count("let a = '<';") == 1


def test_a_viewer_starts_with_the_page_of_one_case_alone() -> None:
    asked: list[bool] = []

    def viewer(opened: bool) -> str:
        asked.append(opened)
        return ""

    one, two = (replace(entry(name), viewer=viewer) for name in ("a", "b"))
    html.render(a_page(count=0, cases=(one,)))
    html.render(a_page(count=0, cases=(one, two)))
    html.render_case(a_page(count=0, cases=(one, two)), 1, "report.html")
    assert asked == [True, False, False, True]


def test_a_case_whose_file_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    first, second = entry("a"), replace(entry("b"), written=True)
    path = html.case_path(tmp_path / "report.html", "b")
    path.parent.mkdir()
    path.write_text("as it was")
    html.write(tmp_path / "report.html", a_page(count=0, cases=(first, second)))
    assert path.read_text() == "as it was"
    assert html.case_path(tmp_path / "report.html", "a").exists()


def test_one_file_or_an_index_with_a_file_each(tmp_path: Path) -> None:
    html.write(tmp_path / "few" / "report.html", a_page())
    assert [path.name for path in (tmp_path / "few").iterdir()] == ["report.html"]
    for page in (
        a_page(count=61),
        a_page(cases=tuple(entry(n, 10**7) for n in ("case0", "case1"))),
    ):
        folder = tmp_path / str(len(page.cases))
        html.write(folder / "my.report.html", page)
        index = checked((folder / "my.report.html").read_text(encoding="utf-8"))
        links = {a["href"] for a in index.all("a")}
        assert {f"my.report/{e.place}.html" for e in page.cases[:2]} <= links
        assert len(list((folder / "my.report").iterdir())) == len(page.cases)
        first = checked((folder / "my.report" / "case0.html").read_text(encoding="utf-8"))
        links = {a["href"] for a in first.all("a")}
        assert {"../my.report.html", "case1.html"} <= links
        assert (folder / "my.report.html").stat().st_size < 200_000


def test_a_name_with_signs_of_addresses_is_still_led_to(tmp_path: Path) -> None:
    cases = (replace(entry("a"), place="a#b %20?c"), entry("z", 10**7))
    html.write(tmp_path / "report.html", a_page(count=0, cases=(*cases, entry("y", 10**7))))
    assert (tmp_path / "report" / "a#b %20?c.html").exists()
    page = checked((tmp_path / "report" / "z.html").read_text(encoding="utf-8"))
    assert "a%23b%20%2520%3Fc.html" in {a["href"] for a in page.all("a")}


def test_a_page_is_whole_or_untouched(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    html.write(path, a_page())
    before = path.read_bytes()

    def broken() -> tuple[()]:
        raise ValueError("unreadable")

    with pytest.raises(ValueError, match="unreadable"):
        html.write(path, a_page(count=0, cases=(replace(entry("a"), blocks=broken),)))
    assert path.read_bytes() == before
    with pytest.raises(OutputError, match="cannot be written"):
        html.write(path / "report.html", a_page())


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_a_page_of_somebody_else_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    html.write(path, a_page())
    html.write(path, a_page())
    path.write_text("<html>the study's own page</html>")
    with pytest.raises(OutputError, match="is not a page of mriseg's and is not written over"):
        html.write(path, a_page())
    assert path.read_text() == "<html>the study's own page</html>"


def test_text_stands_out_in_light_and_in_dark() -> None:
    """Contrast AA (4.5) of all pairs of ink and paper that the style uses."""
    style = html.render(a_page()).partition("<style>")[2]
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]
    assert len(blocks) == 2
    for block in blocks:
        value = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        pairs = [(ink, paper) for ink in ("ink", "soft", "link") for paper in ("paper", "card")]
        for ink, paper in [*pairs, ("warn", "warn-card"), ("good", "good-card")]:
            light, dark = sorted((_luminance(value[ink]), _luminance(value[paper])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, paper)
