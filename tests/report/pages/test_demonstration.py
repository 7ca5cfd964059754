from __future__ import annotations

from mriseg.report import html
from mriseg.report.page import Viewer
from mriseg.report.pages.demonstration import ShownModel, demo_page
from tests.pages import ABOUT, checked, png


def test_the_shipped_model_comes_first_and_the_rest_is_linked() -> None:
    page = demo_page(
        ABOUT,
        case="TCGA <1>",
        base=ShownModel(
            png(), 0.9, True, lambda opened: Viewer(f"<canvas class='{opened}'></canvas>")
        ),
        trained=ShownModel(png(), 0.5),
        seconds=200.0,
        links={"the training": "run/report.html"},
    )
    checked_page = checked(html.render(page))
    assert "it was trained on this patient" in checked_page.text
    assert "run/report.html" in {a["href"] for a in checked_page.all("a")}
    assert [canvas["class"] for canvas in checked_page.all("canvas")] == ["True"]
    assert len(checked_page.all("img")) == 2 and "--model base" in checked_page.text


def test_a_model_that_never_saw_the_patient_is_not_said_to_know_them() -> None:
    shown = ShownModel(png(), 0.9)
    page = demo_page(ABOUT, case="a", base=shown, trained=shown, seconds=1.0, links={})
    text = checked(html.render(page)).text
    assert "it never saw this patient" in text and "It was not trained on this patient" in text
    assert "it was trained on this patient" not in text
