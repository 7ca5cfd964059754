"""Headers alone tell what loading would: the same geometry, labels, notices and refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mriseg.core.tumour_labels import label_counts
from mriseg.errors import CaseError
from mriseg.io import readers
from mriseg.io.readers.inspection import inspect_case
from mriseg.testing import phantoms

SHAPE = (4, 6, 5)


@pytest.fixture
def case(tmp_path: Path) -> Path:
    (folder,) = phantoms.write_brats(tmp_path / "scans", 1, shape=SHAPE, names="2023")
    return folder


def agreed(case: Path) -> None:
    """Inspecting and loading say the same of the only case."""
    _, listing = readers.find(case.parent)
    (only,) = listing.cases
    facts = inspect_case(only, listing.numbering)
    try:
        loaded = only.load()
    except CaseError as error:
        assert facts.problem == error.reason
        return
    assert facts.problem == ""
    assert facts.geometry == loaded.geometry
    assert facts.values == loaded.values
    assert facts.renamed == loaded.renamed
    assert facts.notices == loaded.notices
    assert facts.labelled == (loaded.labels is not None)


def test_a_case(case: Path) -> None:
    agreed(case)
    _, listing = readers.find(case.parent)
    loaded = listing.cases[0].load()
    assert loaded.labels is not None
    assert sum(loaded.values.values()) == sum(label_counts(loaded.labels).values())


@pytest.mark.parametrize("name", ["t2w", "seg"])
def test_another_grid(case: Path, name: str) -> None:
    path = case / f"{case.name}-{name}.nii.gz"
    phantoms.write_nifti(path, np.zeros(SHAPE, np.uint8), orientation="RAS")
    agreed(case)
    phantoms.write_nifti(path, np.zeros((3, 6, 5), np.uint8))
    agreed(case)


def test_without_a_segmentation(case: Path) -> None:
    (case / f"{case.name}-seg.nii.gz").unlink()
    agreed(case)


def test_no_voxel_of_an_image_is_read(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, listing = readers.find(case.parent)

    def refuse(*_: object) -> None:
        raise AssertionError("an image was read")

    monkeypatch.setattr("mriseg.io.images.read", refuse)
    assert inspect_case(listing.cases[0], listing.numbering).problem == ""
    with pytest.raises(AssertionError):
        listing.cases[0].load()


def test_a_damaged_file_is_the_problem(case: Path) -> None:
    next(case.glob("*t1n*")).write_bytes(b"<!DOCTYPE html>")
    agreed(case)
