"""Scores of mask files: right on masks that are known."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mriseg.core.metrics import METRICS
from mriseg.errors import ConfigError, InputError
from mriseg.events import Event, Notice, Skipped, finish
from mriseg.recipes.evaluate_masks import evaluate_masks
from mriseg.recipes.scores import EvaluateReport
from mriseg.testing import phantoms
from tests import strategies


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


def run(folder: Path, **options: Any) -> tuple[EvaluateReport, list[str]]:
    """The report on ``folder``'s masks and truths, and its notices."""
    events: list[Event] = []
    report = finish(evaluate_masks(folder / "masks", folder / "truths", **options), events.append)
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert list(report.notices) == notices
    assert report.to_json()["notices"] == notices
    assert {e.case for e in events if isinstance(e, Skipped)} == {
        name for name, _ in report.skipped
    }
    return report, notices


def test_files_that_cannot_be_compared_are_skipped(tmp_path: Path) -> None:
    place: dict[str, Any] = {"spacing": (3, 1, 1), "origin": (5, 6, 7)}
    write(tmp_path / "masks", "good.nii.gz", cube(), **place)
    write(tmp_path / "truths", "good.nii.gz", cube(), **place)
    write(tmp_path / "masks", "other.nii.gz", cube(), **place)
    write(tmp_path / "truths", "other.nii.gz", cube((12, 14, 17)), **place)
    write(tmp_path / "masks", "far.nii.gz", cube(), **place)
    write(tmp_path / "truths", "far_seg.nii.gz", cube(), **place | {"origin": (5, 6, 27)})
    write(
        tmp_path / "masks", "coarse.nii.gz", cube()[:, ::2, ::2], **place | {"spacing": (3, 2, 2)}
    )
    write(tmp_path / "truths", "coarse.nii.gz", cube(), **place)
    write(tmp_path / "masks", "alone.nii.gz", cube())
    (tmp_path / "masks" / "broken.nii.gz").write_bytes(b"<html>")
    write(tmp_path / "truths", "broken.nii.gz", cube())
    write(tmp_path / "masks", "good_prob_WT.nii.gz", cube())
    write(tmp_path / "truths", "lonely.nii.gz", cube())
    write(tmp_path / "truths", "good_t1ce.nii.gz", cube())
    report, notices = run(tmp_path)
    assert [score.case for score in report.scores] == ["good"]
    assert notices == ["1 truth has no mask and is not measured: lonely"]
    skipped = dict(report.skipped)
    assert set(skipped) == {"alone", "other", "broken", "far", "coarse"}
    assert "16 x 14 x 12 voxels and the truth 17 x 14 x 12" in skipped["other"]
    assert "far.nii.gz cannot be compared with far_seg.nii.gz: it lies else" in skipped["far"]
    assert "voxels of 2 x 2 x 3 mm and the truth 1 x 1 x 3 mm; resample" in skipped["coarse"]


def test_where_no_pair_can_be_measured_the_reasons_are_given(tmp_path: Path) -> None:
    write(tmp_path / "masks", "a.nii.gz", cube())
    write(tmp_path / "truths", "a.nii.gz", cube((12, 14, 17)))
    with pytest.raises(InputError, match=r"could be measured against .*truths: a: .* 17 x 14 x 12"):
        run(tmp_path)


@pytest.mark.parametrize("orientation", strategies.ORIENTATIONS[::5], ids=lambda o: o.codes)
def test_masks_are_compared_where_they_lie(
    tmp_path: Path, orientation: strategies.Orientation
) -> None:
    """Turned as another program files it, a mask is still the truth moved by 1 voxel along y."""
    place: dict[str, Any] = {"spacing": (5, 2, 1), "origin": (30, -40, 50)}
    for name in ("a", "b"):
        write(tmp_path / "truths", f"{name}.nii.gz", cube(), **place)
        turned = orientation.codes if name == "a" else "LPS"
        write(tmp_path / "masks", f"{name}.nii.gz", cube(shift=1), orientation=turned, **place)
    report, notices = run(tmp_path)
    for score in report.scores:
        assert score.dice == pytest.approx(0.8) and score.hd95 == pytest.approx(2)
    said = ["1 mask (a): the mask's axes run otherwise; it was turned onto the truth's grid"]
    assert notices == ([] if orientation.codes == "LPS" else said)


@pytest.mark.parametrize("side", ["masks", "truths"])
def test_a_file_that_states_no_place_is_compared_by_index(tmp_path: Path, side: str) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "truths").mkdir()
    affine = np.diag([-0.5, -2, 3, 1])
    affine[:3, 3] = 10, 20, 30
    labels = np.ascontiguousarray(cube().T)
    for folder in ("masks", "truths"):
        of_ones = np.eye(4) if folder == side else affine
        nib.save(nib.Nifti1Image(labels, of_ones), tmp_path / folder / "x.nii.gz")
    report, notices = run(tmp_path)
    (score,) = report.scores
    assert score.dice == 1 and score.hd95 == 0
    # Lengths are the truth's own, whatever they are.
    voxel = 3 if side == "masks" else 1
    assert score.volume_truth == score.volume_pred == pytest.approx(125 * voxel / 1000)
    (notice,) = notices
    assert notice.startswith(f"1 mask (x): the {side[:-1]} states no place")


def test_less_than_half_a_voxel_apart_is_said(tmp_path: Path) -> None:
    write(tmp_path / "masks", "a.nii.gz", cube(), spacing=(3, 1, 1), origin=(0, 0, 1.4))
    write(tmp_path / "truths", "a.nii.gz", cube(), spacing=(3, 1, 1))
    report, notices = run(tmp_path)
    assert [score.dice for score in report.scores] == [1.0]
    assert notices == [
        "1 mask (a): it lies up to half a voxel off the truth; voxels were compared by index"
    ]


@pytest.mark.parametrize(("tolerance", "within"), [(0, False), (1, True)])
def test_the_tolerance_is_that_of_the_surface_dice(
    tmp_path: Path, tolerance: float, within: bool
) -> None:
    """A cube that is moved by 1 mm: not all surfaces coincide, and all lie within 1 mm."""
    write(tmp_path / "masks", "a.nii.gz", cube(shift=1))
    write(tmp_path / "truths", "a.nii.gz", cube())
    report, _ = run(tmp_path, tolerance=tolerance)
    (score,) = report.scores
    assert (score.nsd == 1) == within
    assert report.to_json()["tolerance"] == tolerance


def numbered(folder: Path, truth: str, mask: str, numbers: Mapping[int, int]) -> None:
    """A truth of 1, 2 and 3 as BraTS publishes it since 2023; the mask has other ``numbers``."""
    labels = cube()
    labels[4:7, 5:8, 6:9] = 2
    labels[5, 6, 7] = 3
    write(folder / "truths", truth, labels)
    lut = np.arange(256, dtype=np.uint8)
    for old, new in numbers.items():
        lut[old] = new
    write(folder / "masks", mask, lut[labels])


MODERN = "BraTS-GLI-00001-000"


def test_both_sides_are_brought_to_the_same_numbers_by_name(tmp_path: Path) -> None:
    numbered(tmp_path, f"{MODERN}-seg.nii.gz", f"{MODERN}.nii.gz", {3: 4})
    report, notices = run(tmp_path, regions="WT,ET")
    assert {score.region: score.dice for score in report.scores} == {"WT": 1.0, "ET": 1.0}
    assert [score.volume_truth for score in report.scores] == [0.125, 0.001]
    assert notices == [
        "1 mask: it was read in BraTS's numbers up to 2021: 4 is enhancing tumour",
        "1 truth: it was renumbered, as BraTS's years differ: 3 to 4 (enhancing tumour)",
    ]


def test_masks_in_the_numbers_of_their_truths_are_renumbered_too(tmp_path: Path) -> None:
    numbered(tmp_path, f"{MODERN}-seg.nii.gz", f"{MODERN}.nii.gz", {})
    report, notices = run(tmp_path, regions="ET")
    assert [score.dice for score in report.scores] == [1.0]
    assert [text[:26] for text in notices[:2]] == [
        "1 mask: it was renumbered,",
        "1 truth: it was renumbered",
    ]


def test_own_numbers_of_another_year_go_by_the_tissue_and_that_is_said(tmp_path: Path) -> None:
    numbered(tmp_path, f"{MODERN}-seg.nii.gz", f"{MODERN}.nii.gz", {3: 4})
    report, notices = run(tmp_path, regions="WT=1+2+3+4,ET=4")
    assert [score.dice for score in report.scores] == [1.0, 1.0]
    assert any("no truth holds ET as label 4; by their names 3 is enh" in text for text in notices)
    report, _ = run(tmp_path, regions="WT=1+2+3+4")
    assert [score.dice for score in report.scores] == [1.0]


def test_an_unknown_name_is_refused_with_those_known(tmp_path: Path) -> None:
    numbered(tmp_path, "a.nii", "a.nii", {})
    with pytest.raises(ConfigError, match=r"no region 'wt'; known: WT, TC, ET\. Define"):
        run(tmp_path, regions="wt")


def test_a_pair_of_white_masks_is_one_region(tmp_path: Path) -> None:
    write(tmp_path / "masks", "a.nii", cube() * 255)
    write(tmp_path / "truths", "a.nii", cube(shift=1) * 255)
    for regions in (None, "lesion=1"):
        report, notices = run(tmp_path, regions=regions)
        assert [score.dice for score in report.scores] == [pytest.approx(0.8)]
        assert len(notices) == 2 and "255 was taken as" in notices[0]
    with pytest.raises(InputError, match="holds 0 and 255 alone, .* core from rim"):
        run(tmp_path, regions="core=1,rim=2")


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
    write(tmp_path / "a", "y_pred.nii", cube())
    with pytest.raises(InputError, match=r"two truths named y: .*y\.nii and .*y_seg\.nii\.gz"):
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
