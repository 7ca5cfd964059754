from __future__ import annotations

from dataclasses import replace

from mriseg.core.data_set import DataCase, remarks
from mriseg.report import html
from mriseg.report.pages import data
from mriseg.report.pages.data import data_page
from tests.pages import ABOUT, checked, png

CASE = DataCase("a", "p", (20, 200, 190), (5.0, 1.0, 1.0), "mm", ("T1",), (2000,), "c")


def rendered(*cases: DataCase, thumbnail: bytes | None = None) -> str:
    page = data_page(
        "out", cases, remarks(cases), ABOUT,
        regions={"WT": (1, 2)}, layout="brats", thumbnail=lambda _: thumbnail,
    )  # fmt: skip
    return html.render(page)


def test_each_case_has_a_slice_and_its_numbers() -> None:
    page = checked(rendered(CASE, replace(CASE, name="b", content="d"), thumbnail=png()))
    assert len(page.all("img")) == 2 and "20 x 200 x 190 voxels" in page.text
    assert "5 x 1 x 1 mm" in page.text and "10.00" in page.text and "Menze" in page.text
    assert "No case differs" in page.text


def test_what_stands_out_is_said_in_three_places() -> None:
    text = rendered(CASE, replace(CASE, name="b"))
    assert checked(text).text.count("the same voxels as a") == 3 and "no picture" in text


def test_a_large_data_set_shows_what_stands_out_and_some_others() -> None:
    count = data.MOST_PICTURES + 100
    cases = [replace(CASE, name=f"c{n:03}", content=f"{n}") for n in range(count)]
    cases[7] = replace(cases[7], modalities=())
    drawn: list[str] = []
    page = data_page(
        "out", cases, remarks(cases), ABOUT,
        regions={"WT": (1,)}, layout="lgg", thumbnail=drawn.append,  # type: ignore[arg-type]
    )  # fmt: skip
    assert "c007" in drawn and "c399" in drawn and "c000" in drawn
    assert data.MOST_PICTURES - 1 <= len(drawn) <= data.MOST_PICTURES
    assert f"of {count} cases" in html.render(page)
