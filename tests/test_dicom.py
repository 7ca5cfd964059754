"""From the scanner and back to it: DICOM studies through the commands, as a hospital has them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from mriseg.backends.base import Backend
from mriseg.cli.app import app
from mriseg.errors import ConfigError
from mriseg.events import finish
from mriseg.extras import Extra
from mriseg.io import nifti
from mriseg.io.runs import Run
from mriseg.io.store import open_store
from mriseg.io.writers import dicom_seg
from mriseg.recipes.predict import PredictOptions, predict
from mriseg.recipes.preprocess import preprocess
from mriseg.testing import phantoms
from tests.io.dicom.series import write_series

DESCRIPTIONS = {"t1": "AX T1 SE", "t1ce": "AX T1 POST", "t2": "AX T2 FSE", "flair": "AX FLAIR"}
QUICK = PredictOptions(
    overlays=False, flips=False, adapt=False, refine=False, dicom_seg=True, threshold=0.2
)
LPS = np.diag([-1.0, -1.0, 2.0, 1.0])


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    """Two studies of four series and a localizer each, of patients with names and IDs."""
    root = tmp_path / "studies"
    for seed, (name, patient) in enumerate((("anna", "ID4711"), ("bert", "ID0815"))):
        images, _ = phantoms.head(np.random.default_rng(seed), (8, 34, 32))
        for number, (modality, text) in enumerate(DESCRIPTIONS.items(), start=1):
            array = np.ascontiguousarray(images[modality].transpose(2, 1, 0)).astype(np.uint16)
            where = root / name / f"SE{number}"
            write_series(where, array, LPS, text, number=number, patient=patient, seed=number)
        write_series(
            root / name / "SE9", array[:, :, :3], LPS, "loc zebra", number=9, patient=patient
        )
    return root


def test_inspect_preprocess_and_a_table_that_overrules(studies: Path, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        result = CliRunner().invoke(app, [*words])
        assert result.exit_code == 0, result.output
        return result.output

    table = tmp_path / "cases.csv"
    shown = run("inspect", str(studies), "--workers", "1", "--csv", str(table))
    assert "AX T1 POST" in shown and "a localizer" in shown
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["anna", "bert"]
    assert rows[0]["T1CE series"] == '2 "AX T1 POST": T1CE by its description'
    assert "SE9/IM0000 = 9" in rows[0]["other series"]
    # A person knows better: T1 and T1CE of anna are the other way round, bert has no T2.
    rows[0]["T1"], rows[0]["T1CE"] = rows[0]["T1CE"], rows[0]["T1"]
    rows[1]["T2"] = ""
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    run("preprocess", str(table), str(tmp_path / "edited.zarr"), "--workers", "1")
    run("preprocess", str(studies), str(tmp_path / "guessed.zarr"), "--workers", "1")
    edited, guessed = (open_store(tmp_path / f"{name}.zarr") for name in ("edited", "guessed"))
    assert edited.cases()["bert"].modalities == ("T1", "T1CE", "FLAIR")
    mine, theirs = edited.read_case("anna"), guessed.read_case("anna")
    np.testing.assert_array_equal(mine.image[0], theirs.image[1])
    np.testing.assert_array_equal(mine.image[1], theirs.image[0])


def test_nothing_of_a_header_but_geometry_is_in_a_store(studies: Path, tmp_path: Path) -> None:
    store = tmp_path / "new.zarr"
    report = finish(preprocess(studies, store, workers=1))
    assert [case.status for case in report.cases] == ["written", "written"]
    text = b"".join(path.read_bytes() for path in store.rglob("*") if path.is_file())
    data = pydicom.dcmread(studies / "anna" / "SE1" / "IM0000")
    secrets = [data.PatientID, "Doe", "Jane", "AX T1", "AX FLAIR", data.StudyDate]
    secrets += [
        "zebra",
        data.StudyInstanceUID,
        data.SeriesInstanceUID,
        data.SOPInstanceUID,
        "SIEMENS",
    ]
    for secret in secrets:
        assert str(secret).encode() not in text, secret


def test_masks_go_back_as_dicom_seg_and_are_kept(
    studies: Path, tmp_path: Path, trained: Run, cpu: Backend
) -> None:
    out = tmp_path / "masks"
    report = finish(predict(studies, out, trained, cpu, QUICK))
    assert [result.kept for result in report.results] == [False, False]
    for name in ("anna", "bert"):
        labels, grid = nifti.read(out / f"{name}.nii.gz")
        data = pydicom.dcmread(out / f"{name}.seg.dcm")
        source = pydicom.dcmread(studies / name / "SE4" / "IM0000")
        # FLAIR is what masks are shown on.
        assert data.ReferencedSeriesSequence[0].SeriesInstanceUID == source.SeriesInstanceUID
        regions = [segment.SegmentLabel for segment in data.SegmentSequence]
        assert regions == [*trained.manifest.regions]
        segments = highdicom.seg.segread(out / f"{name}.seg.dcm").get_volume().array
        assert np.count_nonzero(segments.any(axis=-1)) == np.count_nonzero(labels)
        assert grid.own_spacing == (1, 1, 2)
    files = {path.name: path.stat().st_mtime_ns for path in out.glob("*.dcm")}
    assert files.keys() == {"anna.seg.dcm", "bert.seg.dcm"}
    again = finish(predict(studies, out, trained, cpu, QUICK))
    assert [result.kept for result in again.results] == [True, True]
    # With probabilities they are made again, and without DICOM-SEG it goes with its mask.
    finish(predict(studies, out, trained, cpu, replace(QUICK, probabilities=True), cases=["anna"]))
    assert (out / "anna.fractional.dcm").exists()
    record = json.loads((out / "report.json").read_text())
    assert "ID4711" not in json.dumps(record)
    assert any(file["name"] == "anna.seg.dcm" for file in record["masks"][0]["files"])


def test_dicom_seg_of_scans_that_are_not_dicom_is_one_message(
    tmp_path: Path, trained: Run, cpu: Backend, monkeypatch: pytest.MonkeyPatch, studies: Path
) -> None:
    phantoms.write_brats(tmp_path / "scans", 1)
    out = tmp_path / "masks"
    with pytest.raises(ConfigError, match="--dicom-seg cannot be had .*was not read from DICOM"):
        finish(predict(tmp_path / "scans", out, trained, cpu, QUICK))
    assert not out.exists()
    monkeypatch.setattr(dicom_seg, "WRITING", Extra("dicom", "writing DICOM", ("no_such_library",)))
    with pytest.raises(
        ConfigError, match="writing DICOM needs no_such_library, not installed here"
    ):
        finish(predict(studies, out, trained, cpu, QUICK))
    assert not out.exists()


def test_a_study_that_cannot_be_used_leaves_nothing_half_written(
    studies: Path, tmp_path: Path, trained: Run, cpu: Backend
) -> None:
    (studies / "anna" / "SE2" / "IM0003").unlink()
    out = tmp_path / "masks"
    report = finish(predict(studies, out, trained, cpu, QUICK))
    assert [result.case for result in report.results] == ["bert"]
    ((name, why),) = report.skipped
    assert name == "anna"
    assert "a slice is missing between" in why
    assert not [*out.glob("anna*")]
    result = CliRunner().invoke(app, ["preprocess", str(studies), str(tmp_path / "s.zarr")])
    assert result.exit_code == 6
    assert "a slice is missing" in result.stderr.replace("\n", " ")
