"""What a file is of: its own name decides, or else its folder's."""

from __future__ import annotations

from pathlib import PurePath, PurePosixPath

import pytest

from mriseg.core.filenames import BRAIN_MASK
from mriseg.core.scan_files import NamedFile, read_files


def read(*paths: str) -> tuple[dict[str, tuple[str, str, str]], dict[PurePath, str]]:
    """Path -> (role, subject, the folder where it counts); and what is not used."""
    unused: dict[PurePath, str] = {}
    files = [
        NamedFile(PurePosixPath(p), PurePosixPath(p).parts[:-1], PurePosixPath(p).stem)
        for p in paths
    ]
    items = {
        str(item.file.path): (item.role, item.reading.subject, "/".join(item.folder))
        for item in read_files(files, unused)
    }
    return items, unused


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("p/a_t1.nii", ("T1", "a", "p")),
        ("p/FLAIR/image.nii", ("FLAIR", "", "p")),
        ("p/T1/T1.nii", ("T1", "", "p")),
        ("labels/a.nii", ("seg", "a", "")),
        ("labels/a_FLAIR.nii", ("seg", "a", "")),
        ("p/seg/seg.nii", ("seg", "", "p")),
        ("tumor_001/a_t1.nii", ("T1", "a", "tumor_001")),
    ],
)
def test_where_a_file_counts(path: str, expected: tuple[str, str, str]) -> None:
    items, unused = read(path)
    assert items == {path: expected}
    assert unused == {}


def test_a_folder_whose_name_says_more_than_a_kind_lends_no_role() -> None:
    items, unused = read("tumor_001/scan.nii")
    assert items == {}
    assert "its name states neither" in unused[PurePosixPath("tumor_001/scan.nii")]


def test_a_folder_of_brain_masks_holds_no_segmentation() -> None:
    items, unused = read("brain_mask/a_mask.nii", "brain_mask/b.nii")
    assert items == {}
    assert {*unused.values()} == {BRAIN_MASK}


def test_files_of_other_kinds_stay_in_their_folder() -> None:
    items, _ = read("p/T1/a_T1.nii", "p/T1/a_FLAIR.nii")
    assert {folder for _, _, folder in items.values()} == {"p/T1"}
