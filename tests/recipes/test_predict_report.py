from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.recipes.predict_report import CasePrediction, PredictReport


def result(name: str, volume: float) -> CasePrediction:
    return CasePrediction(name, Path(f"{name}.nii.gz"), {"WT": volume}, "mm")


@pytest.mark.parametrize("count", [1, 3, 7, 40])
def test_empty_masks_come_first_and_a_few_are_urgent(count: int) -> None:
    results = (*(result(f"full-{n}", 1.0) for n in range(count)), result("empty", 0.0))
    report = PredictReport(results, (("broken", "no image"),))
    assert report.empty == ("empty",)
    assert report.by_urgency[0].case == "empty" and len(report.by_urgency) == count + 1
    # Nothing is known of how sure the others are, so that they are not said to need a look.
    assert report.urgent == ("empty",)


def test_a_picture_is_there_if_its_file_is(tmp_path: Path) -> None:
    drawn = CasePrediction("a", tmp_path / "a.nii.gz", {"WT": 1.0}, "mm")
    assert drawn.picture is None
    (tmp_path / "a.png").touch()
    assert drawn.picture == tmp_path / "a.png"
