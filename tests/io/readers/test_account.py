"""Every image-like file is in a case or named; a folder of several data sets is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mriseg.errors import InputError
from mriseg.io import readers
from mriseg.io.readers.account import data_sets, short_account
from mriseg.testing import phantoms

SHAPE = (4, 6, 5)


def test_all_that_is_left_over_is_named(tmp_path: Path) -> None:
    (case,) = phantoms.write_brats(tmp_path, 1, shape=SHAPE)
    phantoms.write_nifti(case / "extra_1.nii", np.ones(SHAPE, np.uint8))
    phantoms.write_nifti(case / f"{case.name}_brainmask.nii", np.ones(SHAPE, np.uint8))
    (case / "series.dcm").write_bytes(b"")
    (case / "notes.txt").write_bytes(b"")
    (case / "gone.nii.gz").symlink_to(tmp_path / "nowhere")
    _, listing = readers.find(tmp_path)
    reasons = {path.name: why for path, why in listing.unused.items()}
    assert {*reasons} == {"extra_1.nii", f"{case.name}_brainmask.nii", "series.dcm", "gone.nii.gz"}
    assert "its name states neither" in reasons["extra_1.nii"]
    lines = short_account(listing.unused, tmp_path)
    assert all(any(name in line for line in lines) for name in reasons)


def test_a_long_account_is_short(tmp_path: Path) -> None:
    unused = {tmp_path / f"{n}.nii": "why" for n in range(9)}
    (line,) = short_account(unused, tmp_path)
    assert line == "9 files not used, why: 0.nii, 1.nii, 2.nii, 3.nii, 4.nii and 4 more"


def test_several_data_sets_under_one_folder(tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "brats", 2, shape=SHAPE)
    phantoms.write_nnunet(tmp_path / "other", 1, shape=SHAPE, modalities=("t1",))
    with pytest.raises(InputError, match="holds data sets of several layouts") as caught:
        readers.find(tmp_path)
    assert "brats (layout brats, 2 cases)" in str(caught.value)
    assert "other (layout nnunet, 1 case)" in str(caught.value)
    layout, listing = readers.find(tmp_path, "brats")
    assert (layout, len(listing.cases)) == ("brats", 2)
    assert any("other" in str(path) for path in listing.unused)


def test_several_data_sets_of_one_layout(tmp_path: Path) -> None:
    for name in ("Dataset001_a", "Dataset002_b"):
        phantoms.write_nnunet(tmp_path / name, 1, shape=SHAPE, modalities=("t1",))
    with pytest.raises(InputError, match="holds 2 data sets: Dataset001_a, Dataset002_b"):
        readers.find(tmp_path)


def test_a_refusal_shows_the_rows_that_settle_it(tmp_path: Path) -> None:
    for name in ("anna_t1", "bert_flair"):
        phantoms.write_nifti(tmp_path / f"{name}.nii", np.ones(SHAPE, np.int16))
    ((_, why),) = readers.find(tmp_path)[1].skipped
    assert "a row in a table of cases settles it: case anna, T1 anna_t1.nii or case bert" in why
    assert f"mriseg inspect {tmp_path} --csv cases.csv" in why


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.dcm").write_bytes(b"")
    with pytest.raises(
        InputError, match="is not an image but named as DICOM, which its content is not"
    ):
        readers.find(tmp_path / "x.dcm")


def test_where_data_sets_are(tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "a", 1, shape=SHAPE)
    _, listing = readers.find(tmp_path)
    assert data_sets(tmp_path, {"brats": listing}) == {"brats": ("a", 1)}
