"""Which folders are BIDS, and what they say of themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.io.readers.bids_folders import (
    above,
    description_of,
    is_bids,
    is_declared,
    is_made_by_mriseg,
    named_files,
)
from tests import bids


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sub-1/anat/sub-1_T1w.nii.gz", True),
        ("sub-1/ses-2/anat/sub-1_ses-2_FLAIR.nii", True),
        ("rawdata/sub-1/anat/sub-1_T1w.nii.gz", True),
        ("derivatives/prep/sub-1/anat/sub-1_desc-p_T1w.nii.gz", True),
        ("sub-1/anat/sub-1_dseg.nii.gz", False),
        ("sub-1/anat/t1.nii.gz", False),
        ("sub-1/sub-1_T1w.nii.gz", False),
        ("sub-1/func/sub-1_T1w.nii.gz", False),
        ("x/sub-1/anat/sub-1_T1w.nii.gz", False),
        ("x_t1.nii.gz", False),
    ],
)
def test_which_folders_are(tmp_path: Path, name: str, expected: bool) -> None:
    bids.image(tmp_path / name)
    assert is_bids(tmp_path) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("d", ()),
        ("sub-1", ("sub-1",)),
        ("sub-1/ses-2", ("sub-1", "ses-2")),
        ("sub-1/ses-2/anat", ("sub-1", "ses-2", "anat")),
        ("sub-1/anat", ("sub-1", "anat")),
        ("sub-1/anat/x", ()),
        ("ses-2/anat", ()),
    ],
)
def test_the_folders_above_a_part(tmp_path: Path, name: str, expected: tuple[str, ...]) -> None:
    assert above(tmp_path / name) == expected
    bids.image(tmp_path / name / "x.nii.gz")
    (file,) = named_files(tmp_path / name, expected, {})
    assert file.folder == expected and file.packed


def test_what_a_data_set_says_of_itself(tmp_path: Path) -> None:
    assert not is_declared(tmp_path) and description_of(tmp_path) == {}
    bids.describe(tmp_path, GeneratedBy=[{"Name": "mriseg"}])
    assert is_declared(tmp_path) and is_made_by_mriseg(tmp_path)
    bids.describe(tmp_path, GeneratedBy="mriseg")
    assert not is_made_by_mriseg(tmp_path)
    (tmp_path / "dataset_description.json").write_text("[", encoding="utf-8")
    assert not is_declared(tmp_path)
