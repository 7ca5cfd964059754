"""predict --bids: the folder is a derivative that the validator of BIDS accepts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mriseg.backends import Backend
from mriseg.core.regions import region_masks
from mriseg.errors import ConfigError, InputError, OutputError
from mriseg.events import finish
from mriseg.io import readers
from mriseg.io.predictions import read_predictions
from mriseg.io.readers import ReaderOptions
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes.predict import PredictOptions, PredictReport, predict
from mriseg.testing import phantoms
from tests import bids

QUICK = PredictOptions(overlays=False, flips=False, adapt=False, refine=False, bids=True)
SHAPE = (8, 40, 36)

Predicting = Callable[..., PredictReport]


@pytest.fixture
def predicting(trained: Run, cpu: Backend) -> Predicting:
    def run(source: Any, out: Path, options: PredictOptions = QUICK, **more: Any) -> PredictReport:
        return finish(predict(source, out, trained, cpu, options, **more))

    return run


@pytest.fixture
def scans(tmp_path: Path, trained: Run) -> Path:
    modalities = [m for m, role in bids.ROLES.items() if role in trained.manifest.modalities]
    bids.write(tmp_path / "raw", [("01", "1"), ("01", "2")], modalities=modalities, shape=SHAPE)
    return tmp_path / "raw"


def files_in(folder: Path) -> dict[str, bytes]:
    changing = (".json", ".html", ".csv")
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and (p.parent != folder or not p.name.endswith(changing))
    }


def test_a_derivative_of_a_bids_data_set(scans: Path, trained: Run, predicting: Predicting) -> None:
    out = scans / "derivatives" / "mriseg"
    options = replace(QUICK, probabilities=True)
    report = predicting(scans, out, options)
    folder = out / "sub-01" / "ses-1" / "anat"
    assert report.results[0].mask == folder / "sub-01_ses-1_desc-mriseg_dseg.nii.gz"
    assert report.folder == out
    regions = trained.manifest.regions
    stems = [f"label-{r}_desc-mriseg_{s}" for r in regions for s in ("mask", "probseg")]
    expected = {f"sub-01_ses-1_{s}.{e}" for s in stems for e in ("nii.gz", "json")}
    expected |= {f"sub-01_ses-1_desc-mriseg_dseg.{e}" for e in ("nii.gz", "json", "tsv")}
    assert {path.name for path in folder.iterdir()} == expected

    labels = np.asarray(nib.load(report.results[0].mask).dataobj)
    union = np.zeros_like(labels)
    for region in regions:
        image = nib.load(folder / f"sub-01_ses-1_label-{region}_desc-mriseg_mask.nii.gz")
        mask = np.asarray(image.dataobj)
        # The whole region, of which the label map may show another on top.
        union |= mask
        assert mask.sum() / 1000 == pytest.approx(report.results[0].volumes[region])
        about = json.loads(
            (folder / f"sub-01_ses-1_label-{region}_desc-mriseg_mask.json").read_text()
        )
        assert about["ModelDigest"] == trained.digest() and about["Type"] == "Lesion"
        assert about["SpatialReference"] == (
            "bids:source:sub-01/ses-1/anat/sub-01_ses-1_FLAIR.nii.gz"
        )
        assert len(about["Sources"]) == len(trained.manifest.modalities)
    assert np.array_equal(union > 0, labels > 0)
    described = json.loads((out / "dataset_description.json").read_text())
    assert described["DatasetLinks"] == {"source": "../.."}
    # Each source is where its address says.
    for uri in about["Sources"]:
        assert (out / described["DatasetLinks"]["source"] / uri.split(":")[2]).is_file()
    assert bids.problems(out) == []
    assert bids.problems(scans) == []


@pytest.mark.slow
def test_the_table_of_labels_gives_the_regions_back(
    scans: Path, trained: Run, predicting: Predicting
) -> None:
    out = scans / "derivatives" / "mriseg"
    predicting(scans, out)
    _, listing = readers.find(scans, "auto", ReaderOptions(labels=out))
    regions = trained.manifest.regions
    for case in listing.cases:
        labels = case.load().labels
        assert labels is not None
        mine = region_masks(labels, {name: listing.regions[name] for name in regions})
        path = out / "sub-01" / case.visit / "anat" / f"{case.name}_desc-mriseg_dseg.nii.gz"
        written = np.asarray(nib.load(path).dataobj)
        assert np.array_equal(mine, region_masks(written, regions))


@pytest.mark.slow
def test_it_goes_on_where_it_stopped(scans: Path, tmp_path: Path, predicting: Predicting) -> None:
    out = tmp_path / "out"
    predicting(scans, out, cases=["sub-01_ses-1"])
    before = files_in(out)
    report = predicting(scans, out)
    assert [result.kept for result in report.results] == [True, False]
    after = files_in(out)
    assert before.items() <= after.items() and len(after) > len(before)
    known = read_predictions(out / "report.json").masks
    assert [*known] == [
        f"sub-01/ses-{n}/anat/sub-01_ses-{n}_desc-mriseg_dseg.nii.gz" for n in (1, 2)
    ]
    # A correction is never written over.
    mask = report.results[0].mask
    edited = nib.load(mask)
    nib.save(nib.Nifti1Image(np.asarray(edited.dataobj) * 0, edited.affine), mask)
    (skipped,) = predicting(scans, out).skipped
    assert "edited since" in skipped[1]
    assert predicting(scans, out, replace(QUICK, overwrite=True)).skipped == ()
    # A sidecar that is gone is made again, with its mask.
    mask.with_name("sub-01_ses-1_desc-mriseg_dseg.json").unlink()
    assert [result.kept for result in predicting(scans, out).results] == [False, True]


@pytest.mark.slow
def test_pictures_and_the_page_are_no_problem(
    scans: Path, tmp_path: Path, predicting: Predicting
) -> None:
    report = predicting(scans, tmp_path / "out", replace(QUICK, overlays=True))
    assert all(result.picture for result in report.results)
    assert report.page is not None and report.page.parent == tmp_path / "out"
    page = report.page.read_text(encoding="utf-8")
    assert "sub-01_ses-2_desc-mriseg_dseg" in page
    assert bids.problems(tmp_path / "out") == []
    again = predicting(scans, tmp_path / "out", replace(QUICK, overlays=True))
    assert all(result.kept for result in again.results)


@pytest.mark.slow
def test_scans_that_are_not_of_bids_are_named_by_patient_and_visit(
    tmp_path: Path, predicting: Predicting, brats_store: Store
) -> None:
    for name in ("Brats17_TCIA_105_1", "p 7"):
        images, _ = phantoms.head(np.random.default_rng(1), SHAPE)
        phantoms.write_brats_case(tmp_path / "scans" / name, images, None)
    out = tmp_path / "out"
    report = predicting(tmp_path / "scans", out)
    assert [result.mask.relative_to(out).as_posix() for result in report.results] == [
        "sub-TCIA105/ses-1/anat/sub-TCIA105_ses-1_desc-mriseg_dseg.nii.gz",
        "sub-p7/anat/sub-p7_desc-mriseg_dseg.nii.gz",
    ]
    about = json.loads(report.results[1].mask.with_name("sub-p7_desc-mriseg_dseg.json").read_text())
    assert about["SpatialReference"] == "bids:source:p 7/p 7_flair.nii.gz"
    # Masks of a store lie beside them, and refer to no file.
    stored = predicting(brats_store.location, out, cases=[next(iter(brats_store.cases()))])
    mask = stored.results[0].mask
    about = json.loads(mask.with_name(mask.name.replace(".nii.gz", ".json")).read_text())
    assert "Sources" not in about
    described = json.loads((out / "dataset_description.json").read_text())
    assert described["DatasetLinks"] == {"source": "../scans"}
    assert bids.problems(out) == []


@pytest.mark.slow
def test_a_space_of_all_images_is_that_of_the_masks(tmp_path: Path, predicting: Predicting) -> None:
    images, _ = phantoms.head(np.random.default_rng(1), SHAPE)
    for modality in bids.SUFFIXES:
        name = f"sub-01_acq-ax_space-MNI152Lin_desc-p{modality}_{bids.SUFFIXES[modality]}"
        ordered = name.replace(f"_desc-p{modality}_ce-gd", f"_ce-gd_desc-p{modality}")
        path = bids.anat(tmp_path / "prep", "01") / f"{ordered}.nii.gz"
        phantoms.write_nifti(path, np.rint(images[modality]), dtype=np.int16)
    (result,) = predicting(tmp_path / "prep", tmp_path / "out").results
    assert result.mask.name == "sub-01_acq-ax_space-MNI152Lin_desc-mriseg_dseg.nii.gz"
    assert bids.problems(tmp_path / "out") == []


class TestRefused:
    def test_a_data_set_of_something_else(self, scans: Path, predicting: Predicting) -> None:
        with pytest.raises(OutputError, match="mriseg did not make.*derivatives/mriseg"):
            predicting(scans, scans)
        (scans / "dataset_description.json").unlink()
        with pytest.raises(OutputError, match="mriseg did not make"):
            predicting(scans, scans)

    def test_one_file(self, scans: Path, tmp_path: Path, predicting: Predicting) -> None:
        with pytest.raises(ConfigError, match="--bids writes a folder"):
            predicting(scans, tmp_path / "m.nii.gz")

    def test_dicom_seg_too(self, scans: Path, tmp_path: Path, predicting: Predicting) -> None:
        with pytest.raises(ConfigError, match="--dicom-seg is of no format of BIDS"):
            predicting(scans, tmp_path / "o", replace(QUICK, dicom_seg=True))
        with pytest.raises(ConfigError, match="--every-series has no names in BIDS"):
            predicting(scans, tmp_path / "o", replace(QUICK, every_series=True))

    def test_two_cases_of_one_name(self, tmp_path: Path, predicting: Predicting) -> None:
        for name in ("p-7", "p_7"):
            images, _ = phantoms.head(np.random.default_rng(1), SHAPE)
            phantoms.write_brats_case(tmp_path / "scans" / name, images, None)
        with pytest.raises(InputError, match="'p-7' and 'p_7' would share the name p7"):
            predicting(tmp_path / "scans", tmp_path / "out")
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_foreign_list_of_ignored_files_is_left(
    scans: Path, tmp_path: Path, predicting: Predicting
) -> None:
    out = tmp_path / "out"
    predicting(scans, out, cases=["sub-01_ses-1"])
    (out / ".bidsignore").write_text("mine\n", encoding="utf-8")
    predicting(scans, out)
    assert (out / ".bidsignore").read_text(encoding="utf-8") == "mine\n"
