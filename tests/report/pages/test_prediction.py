from __future__ import annotations

from mriseg.report import html
from mriseg.report.page import Viewer
from mriseg.report.pages.prediction import ShownMask, citing_prediction, prediction_page
from tests.pages import ABOUT, checked, mask_record, png


def rendered(*masks: ShownMask) -> str:
    citing = citing_prediction(masks[0].record)
    return html.render(prediction_page(masks, ABOUT, title="Masks in out", citing=citing))


def test_each_mask_has_its_volumes_picture_and_flags() -> None:
    text = rendered(
        ShownMask(mask_record("a", 1234.5), picture=png, size=9),
        ShownMask(
            mask_record("b", 0.0, missing=("T2",), trained_on=True, notices=("lacks T2",)),
            edited=True,
            picture=png,
        ),
    )
    page = checked(text)
    assert "1,234.50" in page.text and "WT, mL" in page.text
    for flag in ("empty mask", "without T2", "trained on it", "edited since", "lacks T2"):
        assert flag in page.text
    assert len(page.all("img")) == 2 and "Slices of a with the mask" in text
    assert text.count("edited since, so") == 0 and "base" in page.text


def test_without_pictures_there_is_the_table_alone() -> None:
    page = checked(rendered(ShownMask(mask_record("a", unit="px", volumes={"WT": 5000.0}))))
    assert not page.all("img") and not page.all("article")
    assert "WT, voxels" in page.text and "5,000 " in page.text


def test_masks_of_two_models_say_which() -> None:
    from mriseg.io.predictions import ModelName

    one = mask_record("a")
    other = mask_record("b", model=ModelName("runs/other", "cd" * 32))
    assert "runs/other" in checked(rendered(ShownMask(one), ShownMask(other))).text


def test_a_viewer_has_its_place_in_each_case() -> None:
    viewer = Viewer("<details><canvas id='volume'></canvas></details>")
    page = checked(rendered(ShownMask(mask_record(), picture=png, viewer=lambda _: viewer)))
    assert len(page.all("details")) == 1 and page.all("canvas")


def test_how_sure_each_mask_is_stands_beside_its_volume() -> None:
    from mriseg.core.certainty import RegionCertainty

    sure = {"WT": RegionCertainty(0.87, 0.9, 10.0, 15.25, 2, 0.8)}
    unknown = {"WT": RegionCertainty(None, 0.9, 1.0, 2.0, 3)}
    flags = ("without T2", "voxels of 3.0 mm, training had 1.0 to 1.0")
    text = rendered(
        ShownMask(mask_record("b", missing=("T2",), certainty=unknown, flags=flags), picture=png),
        ShownMask(mask_record("a", certainty=sure), picture=png),
    )
    page = checked(text)
    assert "10.00 to 15.25 mL for about 8 in 10 patients" in page.text and "0.87" in page.text
    assert "1.00 to 2.00" not in page.text, "a range that is not calibrated is not shown"
    assert flags[1] in page.text and "WT, components" in page.text
    # In the order that was given, each flag once in the table and once with its case.
    assert text.index(">b<") < text.index(">a<")
    assert page.text.count(flags[0]) == page.text.count(flags[1]) == 2
