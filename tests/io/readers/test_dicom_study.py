from __future__ import annotations

from pathlib import Path

import numpy as np

from mriseg.io.dicom.studies import headers_in
from mriseg.io.readers.dicom_study import Study, studies_among
from tests.io.dicom.series import write_series

AFFINE = np.diag([-1.0, -1.0, 3.0, 1.0])
ARRAY = np.ones((6, 5, 2), np.uint16)


def studies(root: Path) -> list[Study]:
    problems: dict[Path, str] = {}
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return studies_among(root, headers_in(files, {}, problems), problems)


def names(root: Path) -> dict[str, str]:
    return {study.name.case: study.name.patient for study in studies(root)}


def test_folders_of_an_export_name_nobody(tmp_path: Path) -> None:
    write_series(tmp_path / "PA000003" / "ST000001" / "SE000002", ARRAY, AFFINE, "T1")
    write_series(tmp_path / "anna" / "DICOM" / "S0001", ARRAY, AFFINE, "T1", patient="B")
    assert names(tmp_path) == {"PA000003": "PA000003", "anna": "anna"}


def test_a_name_does_not_depend_on_what_lies_beside(tmp_path: Path) -> None:
    write_series(tmp_path / "anna" / "T1", ARRAY, AFFINE, "T1", number=1)
    write_series(tmp_path / "anna" / "T2", ARRAY, AFFINE, "T2", number=2)
    alone = names(tmp_path / "anna")
    write_series(tmp_path / "bert" / "T1", ARRAY, AFFINE, "T1", patient="B")
    write_series(tmp_path / "bert" / "T2", ARRAY, AFFINE, "T2", patient="B", number=2)
    assert names(tmp_path) == {"anna": "anna", "bert": "bert"}
    assert alone == {"anna": "anna"}


def test_two_of_one_name_are_told_apart_by_the_folders_above(tmp_path: Path) -> None:
    for site, patient in (("site1", "A"), ("site2", "B")):
        for number, kind in enumerate(("T1", "T2"), start=1):
            folder = tmp_path / site / "pat" / kind
            write_series(folder, ARRAY, AFFINE, kind, number=number, patient=patient)
    assert names(tmp_path) == {"site1__pat": "site1__pat", "site2__pat": "site2__pat"}


def test_patients_that_ids_or_folders_unite_are_one(tmp_path: Path) -> None:
    for folder, patient, date in (("x", "A", "1"), ("y", "A", "2"), ("y_2020-01-01", "B", "3")):
        for number, kind in enumerate(("T1", "T2"), start=1):
            path = tmp_path / folder / kind
            write_series(path, ARRAY, AFFINE, kind, number=number, patient=patient, study=date)
    assert names(tmp_path) == {"x": "x", "y": "x", "y_2020-01-01": "x"}
