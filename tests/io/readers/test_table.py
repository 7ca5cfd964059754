"""A table of cases: a layout of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mriseg.core.drafts import Row
from mriseg.core.patients import CaseName
from mriseg.errors import InputError
from mriseg.io import readers
from mriseg.io.readers import Listing, ReaderOptions
from mriseg.io.readers.table import READER, write_table
from mriseg.testing import phantoms

SHAPE = (4, 6, 5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two cases in a folder for each, and the table that names them."""
    phantoms.write_brats(tmp_path, 2, shape=SHAPE)
    _, listing = readers.find(tmp_path)
    rows = [
        Row(
            CaseName(case.name, case.patient, case.visit),
            {role: paths[0] for role, paths in case.sources.items()},
        )
        for case in listing.cases
    ]
    write_table(tmp_path / "cases.csv", rows, [], listing.numbering)
    return tmp_path


def table(folder: Path, text: str) -> Path:
    path = folder / "other.csv"
    path.write_text(text, encoding="utf-8")
    return path


def find(path: Path) -> Listing:
    return READER.find(path, ReaderOptions())


def test_it_gives_what_the_folder_gives(folder: Path) -> None:
    layout, listed = readers.find(folder / "cases.csv")
    _, by_folder = readers.find(folder, "brats")
    assert layout == "table"
    assert listed.regions == by_folder.regions
    assert [case.name for case in listed.cases] == [case.name for case in by_folder.cases]
    for one, other in zip(listed.cases, by_folder.cases, strict=True):
        assert (one.patient, one.visit) == (other.patient, other.visit)
        np.testing.assert_array_equal(one.load().labels, other.load().labels)  # type: ignore[arg-type]
        for name, image in other.load().images.items():
            np.testing.assert_array_equal(one.load().images[name], image)


def test_any_arrangement_of_files(folder: Path) -> None:
    case = next(path for path in sorted(folder.iterdir()) if path.is_dir())
    (folder / "odd place").mkdir()
    for old, new in (("t1", "1.nii.gz"), ("seg", "2.nii.gz")):
        (case / f"{case.name}_{old}.nii.gz").rename(folder / "odd place" / new)
    path = table(folder, "case;T1w;ADC;mask\nanna_visit2;odd place/1.nii.gz;;odd place/2.nii.gz\n")
    (only,) = find(path).cases
    assert (only.name, only.patient, only.visit) == ("anna_visit2", "anna", "visit2")
    assert only.modalities == ("T1",)
    assert only.load().labels is not None


def test_columns_and_paths_as_spreadsheets_write_them(folder: Path) -> None:
    text = (folder / "cases.csv").read_text().replace(",", "\t")
    path = folder / "cases.tsv"
    path.write_text("\ufeff" + text + "\n\t\t\n", encoding="utf-8")
    assert len(find(path).cases) == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no column 'case'"),
        ("a,b\n1,2\n", "has no column 'case'"),
        ("case\nx\n", "no column of a modality"),
        ("case,T1\n", "has no row"),
        ("case,T1,t1w\nx,a,b\n", "two columns for T1"),
        ("case,T1\n,a\n", "row 2 names no case"),
        ("case,T1\nx,a\nx,b\n", "names the case x twice"),
        ("case,T1\nx,a,b\n", "row 2 has 3 cells"),
        ("case,T1,numbering\nx,a,odd\n", "'odd' in the column numbering"),
        (f"case,T1\nx,{'a' * 5000}\n", "has a cell of more than 1000 characters"),
    ],
)
def test_a_table_that_is_none(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        find(table(tmp_path, text))


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("?x,a.nii,,", "its row is a proposal"),
        ("x,a.nii | b.nii,,", "names two candidates"),
        ("x,none.nii,,", "its T1, none.nii, is not there"),
        ("x,,,a.nii", "names no image"),
        ("x,a.nii,a.nii,", "T1 and FLAIR name the same file"),
    ],
)
def test_a_row_that_nobody_can_use(tmp_path: Path, row: str, why: str) -> None:
    phantoms.write_nifti(tmp_path / "a.nii", np.ones(SHAPE, np.int16))
    listing = find(table(tmp_path, f"case,T1,FLAIR,seg\n{row}\ny,a.nii,,\n"))
    assert [case.name for case in listing.cases] == ["y"]
    ((_, reason),) = listing.skipped
    assert why in reason


def test_label_values_as_the_table_says(tmp_path: Path) -> None:
    phantoms.write_nifti(tmp_path / "a.nii", np.ones(SHAPE, np.int16))
    phantoms.write_nifti(tmp_path / "m.nii", np.full(SHAPE, 3, np.uint8))
    regions = {}
    for numbering in ("", "tumour", "lesion", "files"):
        path = table(tmp_path, f"case,T1,seg,numbering\nx,a.nii,m.nii,{numbering}\n")
        listing = find(path)
        regions[numbering] = (
            next(iter(listing.regions)),
            {*np.unique(listing.cases[0].load().labels)},
        )  # type: ignore[arg-type]
    assert regions == {
        "": ("WT", {4}),
        "tumour": ("WT", {4}),
        "lesion": ("lesion", {3}),
        "files": ("foreground", {3}),
    }


def test_a_prediction_needs_no_segmentation(folder: Path) -> None:
    listing = READER.find(folder / "cases.csv", ReaderOptions(segmentations=False))
    assert not any(case.labelled for case in listing.cases)


def test_proposals_are_written_so_that_nobody_takes_them_unseen(tmp_path: Path) -> None:
    phantoms.write_nifti(tmp_path / "a.nii", np.ones(SHAPE, np.int16))
    row = Row(CaseName("x", "x"), {"T1": tmp_path / "a.nii"})
    write_table(tmp_path / "cases.csv", [], [row], "tumour")
    assert find(tmp_path / "cases.csv").skipped[0][0] == "?x"
    accepted = (tmp_path / "cases.csv").read_text().replace("?", "")
    (tmp_path / "cases.csv").write_text(accepted)
    assert [case.name for case in find(tmp_path / "cases.csv").cases] == ["x"]
