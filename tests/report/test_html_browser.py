"""Pages in a real browser: Debian's Chromium, headless. Skipped where it is not installed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mriseg.report import html
from mriseg.report.page import Cell, Column, Flag, Section, Table, number
from tests.report.test_html import a_page, entry

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"no {CHROMIUM}; install it with: apt-get install -y chromium"
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page with a table of numbers, of which one is undefined, and names that are long."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    values = (("c10", 9.5), ("c9", 1200.0), ("C2", None), ("c1 <b>", -3.0))
    rows = tuple(
        (Cell(name), number(value), Cell("x" * 90), Cell("", flags=(Flag("empty mask", "warn"),)))
        for name, value in values
    )
    columns = (Column("case"), Column("mL", numeric=True), Column("file"), Column("remarks"))
    table = Table("Volumes", columns, rows)
    page = a_page(cases=(entry("case0"), entry("case1"), entry("y" * 120)))
    html.write(
        path, a_page(sections=(Section("Table", (table,)), *page.sections), cases=page.cases)
    )
    return path


class Tab:
    """A page that was opened, with all that it asked for and complained of."""

    def __init__(self, browser: Any, path: Path, width: int = 1200, scheme: str = "light") -> None:
        self.asked: list[str] = []
        self.said: list[str] = []
        self.page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.goto(path.as_uri())

    def column(self, number: int) -> list[str]:
        script = (
            "n => [...document.querySelector('tbody').rows].map(r => r.cells[n].innerText.trim())"
        )
        column: list[str] = self.page.evaluate(script, number)
        return column

    def sorted_by(self) -> list[str | None]:
        script = "[...document.querySelectorAll('thead')][0].querySelectorAll('th')"
        each: list[str | None] = self.page.evaluate(
            f"[...{script}].map(th => th.getAttribute('aria-sort'))"
        )
        return each


def test_nothing_but_the_file_is_asked_for(chromium: Any, written: Path) -> None:
    tab = Tab(chromium, written)
    for button in tab.page.query_selector_all("th button"):
        button.click()
    tab.page.wait_for_timeout(100)
    own = [address for address in tab.asked if not address.startswith("data:")]
    assert own == [written.as_uri()] and not tab.said
    tab.page.close()


def test_headings_sort_by_mouse_and_keys(chromium: Any, written: Path) -> None:
    tab = Tab(chromium, written)
    numbers = tab.page.locator("th button", has_text="mL").first
    numbers.click()
    assert tab.column(1) == ["-3.000", "9.500", "1,200.000", "-"]
    assert tab.sorted_by() == [None, "ascending", None, None]
    numbers.press("Enter")
    assert tab.column(1) == ["1,200.000", "9.500", "-3.000", "-"]
    assert tab.sorted_by() == [None, "descending", None, None]
    names = tab.page.locator("th button", has_text="case").first
    names.focus()
    names.press("Space")
    assert tab.column(0) == ["c1 <b>", "C2", "c9", "c10"]  # as people count
    assert tab.sorted_by() == ["ascending", None, None, None]
    tab.page.close()


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_any_width_in_light_and_dark(
    chromium: Any, written: Path, width: int, scheme: str
) -> None:
    tab = Tab(chromium, written, width, scheme)
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= width
    paper = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = sum(json.loads(f"[{paper[4:-1]}]")) < 200
    assert dark == (scheme == "dark")
    assert tab.page.locator("img").first.evaluate("i => i.naturalWidth") > 0
    assert tab.page.locator("figure.chart svg").first.evaluate("s => s.clientWidth") > 200
    tab.page.close()


def test_the_keyboard_reaches_everything_in_reading_order(chromium: Any, written: Path) -> None:
    tab = Tab(chromium, written)
    script = """() => {
      const e = document.activeElement, y = e.getBoundingClientRect().top + scrollY;
      return [e.className || e.tagName, y, getComputedStyle(e).outlineStyle];
    }"""
    stops = []
    for _ in range(20):
        tab.page.keyboard.press("Tab")
        stops.append(tab.page.evaluate(script))
    assert stops[0][0] == "skip"
    assert all(outline == "solid" for _, _, outline in stops), stops
    after = [y for kind, y, _ in stops if kind != "skip"]
    # The first line of links moves down by the line that only the skip link shows.
    assert all(later >= before - 5 for before, later in zip(after, after[1:], strict=False)), stops
    assert {"scroll", "BUTTON"} <= {kind for kind, *_ in stops}
    tab.page.close()


def test_links_lead_to_cases_and_their_own_files(chromium: Any, tmp_path: Path) -> None:
    html.write(tmp_path / "report.html", a_page(count=61))
    tab = Tab(chromium, tmp_path / "report.html")
    tab.page.locator("tbody a").nth(3).click()
    tab.page.wait_for_url("**/report/case3.html")
    assert tab.page.locator("h1").inner_text() == "case3"
    tab.page.get_by_role("link", name="Next").click()
    tab.page.wait_for_url("**/report/case4.html")
    tab.page.get_by_role("link", name="All cases").click()
    tab.page.wait_for_url("**/report.html")
    assert not tab.said
    tab.page.close()


def test_a_viewer_may_run_and_what_slips_in_may_not(chromium: Any, tmp_path: Path) -> None:
    from mriseg.report.page import Viewer

    viewer = Viewer(
        "<output id='shown'></output><script>document.title = 'stolen'</script>",
        ("document.getElementById('shown').textContent = 'drawn';",),
    )
    html.write(tmp_path / "report.html", a_page(count=0, cases=(entry("a", viewer=viewer),)))
    tab = Tab(chromium, tmp_path / "report.html")
    assert tab.page.locator("#shown").text_content() == "drawn"
    assert "stolen" not in tab.page.title() and any("Content Security" in s for s in tab.said)
    tab.page.close()
