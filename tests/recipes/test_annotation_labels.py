"""Segmentations made elsewhere count as corrections, and take the place of nobody's."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mriseg.errors import InputError
from mriseg.events import Skipped, finish
from mriseg.io.corrections import read_corrections, update_corrections
from mriseg.io.runs import Run
from mriseg.recipes.annotation_labels import take_over
from tests.annotation.sessions import session_of


@pytest.fixture
def labels(brats_source: Path, tmp_path: Path) -> Path:
    """Two of the four cases' own segmentations, in a folder of their own."""
    folder = tmp_path / "labels"
    folder.mkdir()
    for case in sorted(brats_source.iterdir())[:2]:
        shutil.copy(next(case.glob("*seg*")), folder / f"{case.name}_seg.nii.gz")
    return folder


def test_they_are_taken_over_once_on_the_scans_grid(
    brats_source: Path, labels: Path, trained: Run, tmp_path: Path
) -> None:
    session = session_of(brats_source, trained, tmp_path / "out", labels=labels)
    finish(take_over(session))
    record = read_corrections(session.out)
    assert len(record.cases) == 2
    for name, correction in record.cases.items():
        given = nib.load(labels / f"{name}_seg.nii.gz")
        kept = nib.load(session.out / correction.mask)
        assert np.array_equal(kept.dataobj, given.dataobj)
        assert np.array_equal(kept.affine, given.affine)
        assert correction.status == "elsewhere" and correction.volumes["WT"] > 0
    finish(take_over(session))
    assert read_corrections(session.out) == record
    # One that changed is taken over again; a case that a person corrected here is not.
    first, second = record.cases
    path = labels / f"{first}_seg.nii.gz"
    image = nib.load(path)
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) * 0, image.affine, image.header), path)
    own = replace(record.cases[second], status="corrected", who="bea")
    update_corrections(session.out, lambda now: now.with_case(own))
    path = labels / f"{second}_seg.nii.gz"
    nib.save(nib.Nifti1Image(np.asarray(image.dataobj) * 0, image.affine, image.header), path)
    finish(take_over(session))
    after = read_corrections(session.out).cases
    assert after[first].volumes["WT"] == 0 and after[second] == own


def test_what_cannot_be_used_is_skipped_with_its_reason(
    brats_source: Path, labels: Path, trained: Run, tmp_path: Path
) -> None:
    cut, other = sorted(labels.iterdir())
    cut.write_bytes(cut.read_bytes()[:100])
    image = nib.load(other)
    sevens = (np.asarray(image.dataobj) > 0).astype(np.uint8) * 7
    nib.save(nib.Nifti1Image(sevens, image.affine), other)
    session = session_of(brats_source, trained, tmp_path / "out", labels=labels)
    skipped = [event for event in take_over(session) if isinstance(event, Skipped)]
    assert len(skipped) == 2 and all(event.reason for event in skipped)
    assert not read_corrections(session.out).cases
    with pytest.raises(InputError, match="not a folder"):
        finish(take_over(replace(session, scans=replace(session.scans, labels=tmp_path / "gone"))))
