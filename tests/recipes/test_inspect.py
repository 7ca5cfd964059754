"""The plan before anything is read: what stands in it is what preprocess then does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mriseg.errors import InputError
from mriseg.events import finish
from mriseg.io.store import open_store
from mriseg.recipes.inspect import InspectReport, inspect
from mriseg.recipes.preprocess import preprocess
from mriseg.testing import phantoms

SHAPE = (4, 6, 5)


def plan(source: Path, **options: object) -> InspectReport:
    return finish(inspect(source, workers=1, **options))  # type: ignore[arg-type]


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    phantoms.write_brats(tmp_path / "scans", 3, shape=SHAPE, names="2023")
    return tmp_path / "scans"


def test_a_row_for_each_case(scans: Path) -> None:
    report = plan(scans, regions="WT,ET")
    assert len(report.cases) == 3
    case = report.cases[0]
    assert {*case.files} == {"T1", "T1CE", "T2", "FLAIR", "seg"}
    assert case.files["T1"] == (f"{case.case}/{case.case}-t1n.nii.gz",)
    assert case.shape == SHAPE[::-1]
    assert case.orientation == "LPS"
    assert case.unit == "mm"
    assert case.renamed == {}
    assert case.voxels["WT"] == sum(case.labels.values()) > 0


def test_renumbered_labels_are_said(scans: Path) -> None:
    case = sorted(scans.iterdir())[0]
    path = case / f"{case.name}-seg.nii.gz"
    phantoms.write_nifti(path, np.full(SHAPE, 3, np.uint8))
    report = plan(scans, regions="WT,ET")
    assert report.cases[0].renamed == {3: 4}
    assert report.cases[0].voxels["ET"] == report.cases[0].labels[3] == 120
    assert any("renumbered" in text for text in report.notices)
    assert plan(scans, regions="ET=3").cases[0].voxels == {"ET": 120}


def test_the_plan_is_what_preprocess_does(scans: Path, tmp_path: Path) -> None:
    report = plan(scans, regions="WT,TC,ET", csv=tmp_path / "cases.csv")
    for name, source in (("folder", scans), ("table", tmp_path / "cases.csv")):
        out = tmp_path / f"{name}.zarr"
        finish(preprocess(source, out, regions="WT,TC,ET", workers=1))
        stored = open_store(out).cases()
        assert {*stored} == {case.case for case in report.cases}
        for case in report.cases:
            assert stored[case.case].patient == case.patient
            voxels = np.sum(stored[case.case].foreground, axis=0).tolist()
            assert voxels == list(case.voxels.values())


def test_what_would_be_refused_and_what_settles_it(scans: Path, tmp_path: Path) -> None:
    case = sorted(scans.iterdir())[0]
    other = next(case.glob("*t1n*"))
    other.rename(case / f"{case.name}-T1_a.nii.gz")
    (case / f"{case.name}-T1_b.nii.gz").write_bytes(
        (case / f"{case.name}-T1_a.nii.gz").read_bytes()
    )
    report = plan(scans, csv=tmp_path / "cases.csv")
    (refused,) = report.refused
    assert "2 files may be its T1" in refused.problem
    assert len(refused.files["T1"]) == 2
    # Accept one of the two proposals, drop the other, and the table gives all three cases.
    lines = (tmp_path / "cases.csv").read_text().splitlines()
    assert sum(line.startswith("?") for line in lines) == 2
    kept = [line.removeprefix("?") for line in lines if not line.startswith(f"?{case.name}_2")]
    (tmp_path / "cases.csv").write_text("\n".join(kept))
    assert plan(tmp_path / "cases.csv").refused == ()
    assert len(plan(tmp_path / "cases.csv").cases) == 3


def test_every_file_is_accounted_for(scans: Path) -> None:
    phantoms.write_nifti(scans / "stray.nii", np.ones(SHAPE, np.uint8))
    report = plan(scans)
    assert list(report.unused) == ["stray.nii"]
    every = {path.relative_to(scans).as_posix() for path in scans.rglob("*.nii*")}
    used = {path for case in report.cases for files in case.files.values() for path in files}
    assert used | {*report.unused} == every


def test_several_processes_say_the_same(scans: Path) -> None:
    assert finish(inspect(scans, workers=2)) == plan(scans)


def test_a_table_cannot_name_channels_of_one_file(tmp_path: Path) -> None:
    phantoms.write_nnunet(tmp_path, 1, shape=SHAPE, modalities=("t1", "t2"), style="msd")
    assert plan(tmp_path).cases[0].files["T1"] == plan(tmp_path).cases[0].files["T2"]
    with pytest.raises(InputError, match="which a table of cases cannot name"):
        plan(tmp_path, csv=tmp_path / "cases.csv")
    assert not (tmp_path / "cases.csv").exists()
