"""--labels DIR: segmentations by the names of the cases, in place of those among the scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mriseg.errors import CaseError, InputError
from mriseg.io import readers
from mriseg.io.readers import Listing, ReaderOptions
from mriseg.testing import phantoms

SHAPE = (4, 6, 5)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    phantoms.write_brats(tmp_path / "scans", 2, shape=SHAPE)
    return tmp_path / "scans"


def find(scans: Path, labels: Path) -> Listing:
    return readers.find(scans, "auto", ReaderOptions(labels=labels))[1]


@pytest.mark.parametrize("name", ["{}.nii.gz", "{}_seg.nii.gz", "{}/mask.nii.gz", "x/{}-label.nii"])
def test_by_the_name_of_the_case(scans: Path, tmp_path: Path, name: str) -> None:
    cases = sorted(path.name for path in scans.iterdir())
    phantoms.write_nifti(tmp_path / "m" / name.format(cases[1]), np.full(SHAPE, 2, np.uint8))
    listing = find(scans, tmp_path / "m")
    assert [case.labelled for case in listing.cases] == [False, True]
    assert listing.cases[0].load().labels is None
    loaded = listing.cases[1].load()
    assert loaded.labels is not None
    assert {*np.unique(loaded.labels)} == {2}
    assert loaded.values == {2: 120}
    assert any(
        "1 segmentation from" in text and "1 case without one" in text for text in listing.notices
    )


def test_brain_masks_and_strangers_are_named(scans: Path, tmp_path: Path) -> None:
    cases = sorted(path.name for path in scans.iterdir())
    for name in (f"{cases[0]}", f"{cases[0]}_brain_mask", "stranger", f"{cases[1]}_prob_WT"):
        phantoms.write_nifti(tmp_path / "m" / f"{name}.nii", np.ones(SHAPE, np.uint8))
    listing = find(scans, tmp_path / "m")
    reasons = {path.name: why for path, why in listing.unused.items() if path.parent.name == "m"}
    assert len(reasons) == 3
    assert reasons["stranger.nii"] == "a segmentation of no case"
    assert "brain" in reasons[f"{cases[0]}_brain_mask.nii"]


def test_two_segmentations_of_a_case(scans: Path, tmp_path: Path) -> None:
    case = sorted(path.name for path in scans.iterdir())[0]
    for name in (case, f"{case}_seg"):
        phantoms.write_nifti(tmp_path / "m" / f"{name}.nii", np.ones(SHAPE, np.uint8))
    assert "2 segmentations of it" in dict(find(scans, tmp_path / "m").skipped)[case]


def test_none_that_fits(scans: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder of segmentations"):
        find(scans, tmp_path / "none")
    phantoms.write_nifti(tmp_path / "m" / "x.nii", np.ones(SHAPE, np.uint8))
    with pytest.raises(InputError, match="no segmentation in .* has the name of a case"):
        find(scans, tmp_path / "m")


def test_another_grid_is_refused(scans: Path, tmp_path: Path) -> None:
    case = sorted(path.name for path in scans.iterdir())[0]
    phantoms.write_nifti(tmp_path / "m" / f"{case}.nii", np.ones((3, 6, 5), np.uint8))
    listing = find(scans, tmp_path / "m")
    with pytest.raises(CaseError, match="has the shape"):
        listing.cases[0].load()
