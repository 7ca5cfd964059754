"""A store's case is kept, written again, or not touched where another scan has its name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from mriseg.errors import CaseError
from mriseg.events import finish
from mriseg.io.store import open_store
from mriseg.recipes.preprocess import PreprocessReport, preprocess
from mriseg.testing import phantoms


def run(source: Path, out: Path, **options: object) -> PreprocessReport:
    return finish(preprocess(source, out, **{"workers": 1, **options}))  # type: ignore[arg-type]


def status(report: PreprocessReport) -> list[str]:
    return [case.status for case in report.cases]


def two_of_one_name(root: Path, *, same_time: bool = False) -> tuple[Path, Path]:
    """P1/case and P2/case: scans of two patients by equal names, sizes and maybe times."""
    folders = []
    for number, patient in enumerate(("P1", "P2")):
        (written,) = phantoms.write_brats(root / "raw" / patient, 1, seed=number, gz=False)
        folder = shutil.move(written, root / patient / "case")
        for path in Path(folder).iterdir():
            if same_time:
                os.utime(path, (1, 1))
        folders.append(root / patient)
    return folders[0], folders[1]


@pytest.mark.parametrize("same_time", [False, True])
def test_another_scan_of_that_name_is_refused(tmp_path: Path, same_time: bool) -> None:
    first, second = two_of_one_name(tmp_path, same_time=same_time)
    out = tmp_path / "out.zarr"
    assert status(run(first, out)) == ["written"]
    before = open_store(out).cases()["case"]
    report = run(second, out)
    assert status(report) == ["refused"]
    reason = report.cases[0].reason
    assert "other scans" in reason and "rename" in reason and "--overwrite" in reason
    assert [case.case for case in report.skipped] == ["case"]
    assert open_store(out).cases()["case"] == before
    assert status(run(first, out)) == ["kept"]
    with pytest.raises(CaseError, match="other scans"):
        run(second, out, strict=True)

    assert status(run(second, out, overwrite=True)) == ["written"]
    assert open_store(out).cases()["case"].content != before.content
    assert status(run(second, out)) == ["kept"]


def test_another_case_beside_it_is_written(tmp_path: Path) -> None:
    first, second = two_of_one_name(tmp_path)
    run(first, tmp_path / "out.zarr")
    shutil.copytree(second / "case", second / "new")
    report = run(second, tmp_path / "out.zarr")
    assert {case.case: case.status for case in report.cases} == {
        "case": "refused",
        "new": "written",
    }


def test_a_corrected_segmentation_is_written_again(tmp_path: Path) -> None:
    first, _ = two_of_one_name(tmp_path)
    run(first, tmp_path / "out.zarr")
    seg = next((first / "case").glob("*seg*"))
    image = nib.load(seg)
    corrected = np.asarray(image.dataobj).copy()
    corrected[tuple(np.argwhere(corrected > 0)[0])] = 0
    nib.save(nib.Nifti1Image(corrected, image.affine), seg)
    before = open_store(tmp_path / "out.zarr").cases()["case"]
    assert status(run(first, tmp_path / "out.zarr")) == ["written"]
    after = open_store(tmp_path / "out.zarr").cases()["case"]
    assert after.content == before.content and after.foreground != before.foreground


def test_a_modality_that_comes_or_goes_is_the_same_scan(tmp_path: Path) -> None:
    """Though the first modality by name, of which the digest is, becomes another."""
    first, _ = two_of_one_name(tmp_path)
    flair = next((first / "case").glob("*flair*"))
    aside = shutil.move(flair, tmp_path)
    run(first, tmp_path / "out.zarr")
    shutil.move(aside, flair)
    assert status(run(first, tmp_path / "out.zarr")) == ["written"]
    assert "FLAIR" in open_store(tmp_path / "out.zarr").cases()["case"].modalities
    flair.unlink()
    assert status(run(first, tmp_path / "out.zarr")) == ["written"]


def test_equal_segmentations_alone_do_not_make_one_scan(tmp_path: Path) -> None:
    first, second = two_of_one_name(tmp_path)
    shutil.copyfile(next((first / "case").glob("*seg*")), next((second / "case").glob("*seg*")))
    run(first, tmp_path / "out.zarr")
    assert status(run(second, tmp_path / "out.zarr")) == ["refused"]
