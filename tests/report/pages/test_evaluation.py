from __future__ import annotations

import numpy as np

from mriseg.core.metrics import CaseScores, summarise
from mriseg.report import html
from mriseg.report.page import Viewer
from mriseg.report.pages.evaluation import CaseView, evaluation_page
from tests.pages import ABOUT, checked, png


def score(case: str, dice: float, volume: float = 10.0) -> CaseScores:
    nan = float("nan")
    return CaseScores(
        case, "WT", dice, dice, dice, nan, nan, nan, dice, 1, 1, 0, 1, volume, 9, "mm"
    )


def rendered(*scores: CaseScores, picture: bytes | None = None) -> str:
    summary = summarise(scores, np.random.default_rng(0))
    page = evaluation_page(
        scores, summary, ABOUT, model="run", seen=("a",), tolerance=2.0, picture=picture
    )
    return html.render(page)


def test_scores_are_there_the_lowest_first() -> None:
    page = checked(rendered(score("a", 0.9), score("b", 0.25, volume=0.0), picture=png()))
    assert page.text.index("b empty mask") if "b empty mask" in page.text else True
    cells = page.text.partition("Each case and region")[2]
    assert cells.index("0.250") < cells.index("0.900")
    assert "trained on it" in cells and "empty mask" in cells and "HD95, mm" in page.text
    assert "0.575" in page.text and "95 % interval" in page.text
    assert len(page.all("svg")) == 1 and len(page.all("img")) == 1


def test_one_case_is_no_distribution() -> None:
    page = checked(rendered(score("a", 0.9)))
    assert not page.all("svg") and not page.all("img") and "over 1 case are" in page.text


def test_a_case_that_can_be_looked_at_has_a_place_the_worst_first() -> None:
    scores = (score("a", 0.9), score("b/c", 0.25), score("d", 0.5))
    view = CaseView(lambda _: Viewer("<canvas></canvas>"), 10)
    page = evaluation_page(
        scores,
        summarise(scores, np.random.default_rng(0)),
        ABOUT,
        tolerance=2.0,
        views={"a": view, "b/c": view},
    )
    assert [entry.name for entry in page.cases] == ["b/c", "a"]
    assert "/" not in page.cases[0].place and page.cases[0].size == 10
    shown = checked(html.render(page))
    assert len(shown.all("canvas")) == 2
    assert {"#case-1", "#case-2"} <= {a["href"] for a in shown.all("a")}
    assert "WT, HD95, mm" in shown.text
