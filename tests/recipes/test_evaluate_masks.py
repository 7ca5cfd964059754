"""Scores of mask files: right on masks that are known."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mriseg.core.metrics import METRICS
from mriseg.errors import InputError
from mriseg.events import Event, Notice, Skipped, finish
from mriseg.recipes.evaluate_masks import evaluate_masks
from mriseg.testing import phantoms


def write(folder: Path, name: str, labels: np.ndarray[Any, Any], **where: Any) -> None:
    phantoms.write_nifti(folder / name, labels.astype(np.uint8), **where)


def cube(shape: tuple[int, int, int] = (12, 14, 16), shift: int = 0) -> np.ndarray[Any, Any]:
    labels = np.zeros(shape, dtype=np.uint8)
    labels[3:8, 4 + shift : 9 + shift, 5:10] = 1
    return labels


# Mask files


def test_perfect_masks_are_perfect(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / "masks", f"{name}.nii.gz", cube(), spacing=(3, 1, 1))
        write(tmp_path / "truths" / name, f"{name}_seg.nii.gz", cube(), spacing=(3, 1, 1))
    report = finish(evaluate_masks(tmp_path / "masks", tmp_path / "truths"))
    assert [(s.case, s.region) for s in report.scores] == [("a", "foreground"), ("b", "foreground")]
    for score in report.scores:
        assert score.dice == score.iou == score.sensitivity == score.precision == 1
        assert score.hd95 == score.assd == 0 and score.nsd == score.lesion_f1 == 1
        assert (score.lesions, score.lesions_detected, score.lesions_false) == (1, 1, 0)
        assert score.volume_pred == score.volume_truth == pytest.approx(125 * 3 / 1000)
    assert report.mean("foreground") == 1 and report.mean("foreground", "hd95") == 0
    with pytest.raises(KeyError):
        report.mean("WT")


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "SAL"])
def test_distances_are_in_the_scans_millimetres(tmp_path: Path, orientation: str) -> None:
    where = {"spacing": (5, 2, 1), "orientation": orientation}
    write(tmp_path / "masks", "a.nii.gz", cube(shift=1), **where)
    write(tmp_path / "truths", "a.nii.gz", cube(), **where)
    (score,) = finish(evaluate_masks(tmp_path / "masks", tmp_path / "truths")).scores
    # Moved by one voxel of 2 mm along y.
    assert score.dice == pytest.approx(0.8) and score.hd95 == pytest.approx(2)
    assert score.unit == "mm"


def test_regions_are_read_from_labels_on_both_sides(tmp_path: Path) -> None:
    truth = cube()
    truth[4:6, 5:7, 6:8] = 4
    mask = np.where(truth == 4, 1, truth)
    write(tmp_path / "masks", "a.nii", mask)
    write(tmp_path / "truths", "a.nii.gz", truth)
    regions = {"WT": (1, 4), "ET": (4,)}
    report = finish(evaluate_masks(tmp_path / "masks", tmp_path / "truths", regions=regions))
    assert {score.region: score.dice for score in report.scores} == {"WT": 1.0, "ET": 0.0}


def test_a_mask_of_one_region_is_1_whatever_its_label(tmp_path: Path) -> None:
    truth = cube()
    truth[4:6, 5:7, 6:8] = 4
    write(tmp_path / "masks", "a.nii", (truth == 4).astype(np.uint8))
    write(tmp_path / "truths", "a.nii", truth)
    regions = {"ET": (4,)}
    (score,) = finish(
        evaluate_masks(tmp_path / "masks", tmp_path / "truths", regions=regions)
    ).scores
    assert (score.region, score.dice) == ("ET", 1.0)


def test_empty_masks_have_the_documented_values_and_files_have_gaps(tmp_path: Path) -> None:
    empty = np.zeros((12, 14, 16))
    for name, mask, truth in (
        ("both", empty, empty),
        ("miss", empty, cube()),
        ("hit", *[cube()] * 2),
    ):
        write(tmp_path / "masks", f"{name}.nii.gz", mask)
        write(tmp_path / "truths", f"{name}.nii.gz", truth)
    out = tmp_path / "out"
    report = finish(evaluate_masks(tmp_path / "masks", tmp_path / "truths", out=out))
    scores = {score.case: score for score in report.scores}
    assert scores["both"].dice == 1 and np.isnan(scores["both"].sensitivity)
    assert scores["miss"].dice == 0 and np.isnan(scores["miss"].hd95)

    with (out / "cases.csv").open(newline="") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert rows["both"]["sensitivity"] == "" and rows["miss"]["hd95"] == ""
    assert float(rows["hit"]["dice"]) == 1 and rows["hit"]["seen"] == "False"
    row = rows["miss"]
    assert (row["nsd"], row["lesions"], row["lesion_f1"]) == ("0.0", "1", "0.0")
    text = (out / "evaluation.json").read_text()
    assert "NaN" not in text
    data = json.loads(text)
    assert {c["case"]: c["hd95"] for c in data["cases"]} == {"both": 0.0, "hit": 0.0, "miss": None}
    with (out / "summary.csv").open(newline="") as file:
        summary = {row["metric"]: row for row in csv.DictReader(file)}
    assert set(summary) == set(METRICS)
    assert summary["hd95"]["undefined"] == "1" and summary["hd95"]["cases"] == "2"
    assert float(summary["dice"]["mean"]) == pytest.approx(2 / 3)
    assert float(summary["dice"]["low"]) <= 2 / 3 <= float(summary["dice"]["high"])


def test_an_evaluation_repeated_gives_the_same_interval(tmp_path: Path) -> None:
    for shift in range(4):
        write(tmp_path / "masks", f"{shift}.nii", cube(shift=shift))
        write(tmp_path / "truths", f"{shift}.nii", cube())
    one, other = (finish(evaluate_masks(tmp_path / "masks", tmp_path / "truths")) for _ in range(2))
    assert one.summary == other.summary


def test_mismatched_pairs_are_reported(tmp_path: Path) -> None:
    write(tmp_path / "masks", "good.nii.gz", cube())
    write(tmp_path / "truths", "good.nii.gz", cube(), origin=(9, 9, 9))
    write(tmp_path / "masks", "other.nii.gz", cube())
    write(tmp_path / "truths", "other.nii.gz", cube((12, 14, 17)))
    write(tmp_path / "masks", "alone.nii.gz", cube())
    (tmp_path / "masks" / "broken.nii.gz").write_bytes(b"<html>")
    write(tmp_path / "truths", "broken.nii.gz", cube())
    write(tmp_path / "masks", "good_prob_WT.nii.gz", cube())
    events: list[Event] = []
    report = finish(evaluate_masks(tmp_path / "masks", tmp_path / "truths"), events.append)
    assert [score.case for score in report.scores] == ["good"]
    assert any("good: mask and truth" in e.text for e in events if isinstance(e, Notice))
    skipped = dict(report.skipped)
    assert set(skipped) == {"alone", "other", "broken"}
    assert {e.case for e in events if isinstance(e, Skipped)} == set(skipped)
    assert "one grid" in skipped["other"]


def test_folders_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", "x.nii", cube())
    write(tmp_path / "b", "y.nii", cube())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has the name of a truth"):
        finish(evaluate_masks(tmp_path / "a", tmp_path / "b"))
    with pytest.raises(InputError, match="holds no NIfTI file"):
        finish(evaluate_masks(tmp_path / "a", tmp_path / "empty"))
    with pytest.raises(InputError, match="not a folder of masks"):
        finish(evaluate_masks(tmp_path / "nowhere", tmp_path / "b"))
    write(tmp_path / "b", "y_seg.nii.gz", cube())
    with pytest.raises(InputError, match="two truths named y"):
        finish(evaluate_masks(tmp_path / "a", tmp_path / "b"))


# A model on a store


def test_mask_files_are_charted_and_not_shown(tmp_path: Path) -> None:
    write(tmp_path / "masks", "a.nii.gz", cube(shift=1))
    write(tmp_path / "truths", "a.nii.gz", cube())
    for out, draws in (("with", True), ("without", False)):
        finish(
            evaluate_masks(
                tmp_path / "masks", tmp_path / "truths", out=tmp_path / out, pictures=draws
            )
        )
    assert [path.name for path in (tmp_path / "with").glob("*.png")] == ["dice.png"]
    assert not list((tmp_path / "without").glob("*.png"))
