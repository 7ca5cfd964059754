"""From a folder of scans to masks of patients that were never seen, through the Python API."""

from __future__ import annotations

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import mriseg
from mriseg.testing import phantoms

SETTINGS = {"width": 8, "epochs": 6, "batch_size": 4, "learning_rate": 1e-2, "tumour_fraction": 0.6}


def overlap(mask: Path, truth: Path) -> float:
    one, other = (np.asarray(nib.load(path).dataobj) > 0 for path in (mask, truth))
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def test_scans_to_masks_of_somebody_new(tmp_path: Path) -> None:
    # Three to learn from, of which one validates, and one whom nobody has seen, lying otherwise.
    phantoms.write_brats(tmp_path / "src", 4)
    (new,) = phantoms.write_brats(
        tmp_path / "new", 1, seed=99, names="2023", gz=False, orientation="RAS", origin=(5, 6, 7)
    )
    cpu = mriseg.select("cpu", precision="fp32")
    report = mriseg.preprocess(tmp_path / "src", tmp_path / "out.zarr", workers=1)
    assert len(report.cases) == 4 and not report.skipped

    trained = mriseg.train(tmp_path / "out.zarr", backend=cpu, out=tmp_path / "run", **SETTINGS)
    assert trained.best > 0.5

    predicted = mriseg.predict(new, tmp_path / "masks", tmp_path / "run", backend=cpu)
    (result,) = predicted.results
    truth = next(new.glob("*seg.nii"))
    assert overlap(result.mask, truth) > 0.5
    mask, scan = nib.load(result.mask), nib.load(truth)
    assert mask.shape == scan.shape
    np.testing.assert_allclose(mask.affine, scan.affine, atol=1e-5)
    assert result.mask.with_name(f"{new.name}.png").exists()

    # The file's score is the store's: nothing is lost between the network and the file.
    shutil.copy(truth, tmp_path / f"{new.name}.nii")
    (tmp_path / "truths").mkdir()
    shutil.move(tmp_path / f"{new.name}.nii", tmp_path / "truths")
    by_file = mriseg.evaluate_masks(tmp_path / "masks", tmp_path / "truths")
    mriseg.preprocess(tmp_path / "new", tmp_path / "new.zarr", workers=1)
    by_store = mriseg.evaluate(tmp_path / "new.zarr", tmp_path / "run", backend=cpu)
    assert by_file.mean("foreground") == pytest.approx(overlap(result.mask, truth))
    assert by_store.mean("WT") == pytest.approx(by_file.mean("foreground"), abs=0.02)
    assert by_store.seen == ()

    # And on to another task.
    phantoms.write_nnunet(tmp_path / "task", 3, seed=7, style="msd")
    mriseg.preprocess(tmp_path / "task", tmp_path / "task.zarr", workers=1)
    transferred = mriseg.transfer(
        tmp_path / "task.zarr",
        tmp_path / "run",
        backend=cpu,
        out=tmp_path / "carried",
        epochs=2,
        batch_size=4,
    )
    assert transferred.plan.count("new") == 2 and transferred.epochs == 2
    assert mriseg.open_run(tmp_path / "carried").manifest.modalities == ("T1",)


@pytest.mark.realdata
@pytest.mark.slow
def test_real_hippocampi_are_learnt_from_a_few(hippocampus_dir: Path, tmp_path: Path) -> None:
    names = sorted(path.name for path in (hippocampus_dir / "images").iterdir())[:16]
    for part in ("images", "labels"):
        (tmp_path / "src" / part).mkdir(parents=True)
        for name in names:
            shutil.copy(hippocampus_dir / part / name, tmp_path / "src" / part / name)
    cpu = mriseg.select("cpu", precision="fp32")
    mriseg.preprocess(tmp_path / "src", tmp_path / "out.zarr", channels=["T1"], workers=1)
    report = mriseg.train(
        tmp_path / "out.zarr",
        backend=cpu,
        out=tmp_path / "run",
        width=8,
        epochs=5,
        learning_rate=5e-3,
    )
    assert report.best > 0.5
