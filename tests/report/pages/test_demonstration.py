from __future__ import annotations

from mriseg.report import html
from mriseg.report.page import Viewer
from mriseg.report.pages.demonstration import ShownModel, demo_page
from tests.pages import ABOUT, checked, png


def test_the_shipped_model_comes_first_and_the_rest_is_linked() -> None:
    page = demo_page(
        ABOUT,
        case="TCGA <1>",
        base=ShownModel(png(), 0.9, lambda opened: Viewer(f"<canvas class='{opened}'></canvas>")),
        trained=ShownModel(png(), 0.5),
        seconds=200.0,
        links={"the training": "run/report.html"},
    )
    checked_page = checked(html.render(page))
    assert "it was trained on this patient" in checked_page.text
    assert "run/report.html" in {a["href"] for a in checked_page.all("a")}
    assert [canvas["class"] for canvas in checked_page.all("canvas")] == ["True"]
    assert len(checked_page.all("img")) == 2 and "--model base" in checked_page.text
