"""Folders as people have them, from public bug reports: the right value, or a reason.

Each once ended with exit code 0 and a wrong result. Single steps are tested beside their modules;
here the whole door is, from the folder to the store, the mask or the evaluation.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from mriseg.backends import select
from mriseg.errors import InputError, MrisegError
from mriseg.events import Notice, finish
from mriseg.io.runs import open_run
from mriseg.io.store import open_store
from mriseg.recipes.evaluate_masks import evaluate_masks
from mriseg.recipes.predict import PredictOptions, predict
from mriseg.recipes.preprocess import preprocess
from mriseg.testing import phantoms

SHAPE = (8, 24, 22)


@dataclass
class Door:
    """What came of a folder: the cases of a store, and all that was said."""

    cases: dict[str, Any] = field(default_factory=dict)
    said: str = ""
    skipped: dict[str, str] = field(default_factory=dict)

    def voxels(self, name: str) -> list[int]:
        return np.sum(self.cases[name].foreground, axis=0).tolist()  # type: ignore[no-any-return]

    def modalities(self) -> dict[str, str]:
        return {
            name: "+".join(case.modalities) + ("+seg" if case.labelled else "")
            for name, case in self.cases.items()
        }


def through(source: Path, out: Path, **options: Any) -> Door:
    said: list[str] = []
    report = finish(
        preprocess(source, out, workers=1, **options),
        lambda event: said.append(event.text) if isinstance(event, Notice) else None,
    )
    return Door(
        dict(
            open_store(out).cases()
            and {n: open_store(out).stored(n) for n in open_store(out).cases()}
        ),
        "\n".join(said),
        {case.case: case.reason for case in report.skipped},
    )


Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Write an image or labels under ``in/``."""

    def write(name: str, labels: Any = None, **options: Any) -> Path:
        path = tmp_path / "in" / name
        seed = sum(name.encode())
        images, drawn = phantoms.head(np.random.default_rng(seed), SHAPE)
        array = next(iter(images.values())) if labels is None else _labels(drawn, labels)
        return phantoms.write_nifti(path, array, **options)

    return write


def _labels(drawn: Any, values: Any) -> Any:
    """The drawn tumour with these values in its voxels, in turn."""
    labels = np.zeros(drawn.shape, np.uint8)
    inside = np.flatnonzero(drawn)
    labels.reshape(-1)[inside] = np.resize(np.asarray(values, np.uint8), inside.size)
    return labels


def count(path: Path, *values: int) -> int:
    array = np.asarray(nib.load(path).dataobj)
    return int(np.isin(array, values).sum() if values else (array > 0).sum())


class TestNames:
    def test_the_lesions_and_the_brain(self, put: Put, tmp_path: Path) -> None:
        for name in ("FLAIR", "T1"):
            put(f"U-5_nifti/U-5_{name}.nii.gz")
            put(f"U-4_nifti/U-4_{name}.nii.gz")
        seg = put("U-5_nifti/U-5_tumor_segmentation.nii.gz", [1, 2, 4])
        for case in ("U-5", "U-4"):
            put(f"{case}_nifti/{case}_brain_segmentation.nii.gz", [1])
        put("U-5_nifti/U-5_brain_parenchyma_segmentation.nii.gz", [1])
        door = through(tmp_path / "in", tmp_path / "out.zarr")
        assert door.modalities() == {"U-4_nifti": "T1+FLAIR", "U-5_nifti": "T1+FLAIR+seg"}
        assert door.voxels("U-5_nifti") == [count(seg)]
        assert "3 files not used, a mask of the brain or head" in door.said

    def test_contrast_by_entities(self, put: Put, tmp_path: Path) -> None:
        for name in ("ce-gadolinium_T1w", "T1w", "FLAIR"):
            put(f"sub-02/anat/sub-02_{name}.nii.gz")
        door = through(tmp_path / "in", tmp_path / "out.zarr")
        assert door.modalities() == {"sub-02": "T1+T1CE+FLAIR"}

    @pytest.mark.parametrize(
        "name", ["gtv", "GlistrBoost_ManuallyCorrected", "segmentations", "label-lesion_roi"]
    )
    def test_other_names_of_segmentations(self, put: Put, tmp_path: Path, name: str) -> None:
        put("p1/p1_t1.nii.gz")
        put(f"p1/p1_{name}.nii.gz", [1])
        assert through(tmp_path / "in", tmp_path / "out.zarr").modalities() == {"p1": "T1+seg"}

    def test_a_name_that_nobody_knows_is_named(self, put: Put, tmp_path: Path) -> None:
        put("p1/p1_t1.nii.gz")
        put("p1/p1_thing.nii.gz")
        door = through(tmp_path / "in", tmp_path / "out.zarr")
        assert "1 file not used" in door.said and "p1/p1_thing.nii.gz" in door.said
        report = json.loads((tmp_path / "out.zarr" / "report.json").read_text())
        assert [Path(path).name for path in report["unused"]] == ["p1_thing.nii.gz"]

    def test_registered_images_are_what_they_were(self, put: Put, tmp_path: Path) -> None:
        put("p1/p1_T1_to_FLAIR.nii.gz")
        put("p1/p1_T2.nii.gz")
        put("p1/p1_lesion_mask_FLAIR.nii.gz", [1])
        door = through(tmp_path / "in", tmp_path / "out.zarr")
        assert door.modalities() == {"p1": "T1+T2+seg"}

    def test_two_people_in_one_folder(self, put: Put, tmp_path: Path) -> None:
        put("anna_t1.nii.gz")
        put("bert_flair.nii.gz")
        put("bert_seg.nii.gz", [1])
        with pytest.raises(InputError, match=r"2 subjects \(anna, bert\)"):
            through(tmp_path / "in", tmp_path / "out.zarr")
        assert not (tmp_path / "out.zarr").exists()

    def test_numbers_that_may_be_patients(self, put: Put, tmp_path: Path) -> None:
        for number in range(3):
            put(f"pat_{number:04}.nii.gz")
        with pytest.raises(InputError, match="may be channels of one case or cases of one channel"):
            through(tmp_path / "in", tmp_path / "out.zarr")
        assert len(through(tmp_path / "in", tmp_path / "a.zarr", channels="T1").cases) == 3
        assert len(through(tmp_path / "in", tmp_path / "b.zarr", channels="T1,T2,FLAIR").cases) == 1

    def test_a_folder_for_each_series(self, put: Put, tmp_path: Path) -> None:
        for name in ("T1", "FLAIR"):
            put(f"PAT0/{name}/{name}.nii.gz")
        put("PAT0/seg/seg.nii.gz", [1])
        door = through(tmp_path / "in", tmp_path / "out.zarr")
        assert door.modalities() == {"PAT0": "T1+FLAIR+seg"}


class TestPatients:
    def test_visits_share_a_patient(self, put: Put, tmp_path: Path) -> None:
        for patient in (1, 2):
            for visit in (0, 1):
                put(f"RHUH-000{patient}/{visit}/RHUH-000{patient}_{visit}_flair.nii.gz")
        door = through(tmp_path / "in", tmp_path / "out.zarr")
        assert len(door.cases) == 4
        assert {case.patient for case in door.cases.values()} == {"RHUH-0001", "RHUH-0002"}
        assert "4 cases of 2 patients" in door.said


class TestLabels:
    def test_0_and_255(self, put: Put, tmp_path: Path) -> None:
        put("p1/p1_t1.nii.gz")
        seg = put("p1/p1_seg.nii.gz", [255])
        door = through(tmp_path / "in", tmp_path / "out.zarr")
        assert door.voxels("p1") == [count(seg)]
        assert "255 is taken as WT" in door.said
        with pytest.raises(InputError, match="0 and 255, which does not tell WT from ET"):
            through(tmp_path / "in", tmp_path / "b.zarr", regions="WT,ET")

    @pytest.mark.parametrize(
        ("name", "regions", "values"), [("GLI", "ET=3", [1, 2, 3]), ("GLI", "RC=4", [1, 2, 3, 4])]
    )
    def test_numbers_are_the_files_own(
        self, put: Put, tmp_path: Path, name: str, regions: str, values: list[int]
    ) -> None:
        put(f"BraTS-{name}-00001-000/BraTS-{name}-00001-000-t2f.nii.gz")
        seg = put(f"BraTS-{name}-00001-000/BraTS-{name}-00001-000-seg.nii.gz", values)
        door = through(tmp_path / "in", tmp_path / "out.zarr", regions=regions)
        assert door.voxels(f"BraTS-{name}-00001-000") == [count(seg, int(regions[-1]))]

    def test_paediatric(self, put: Put, tmp_path: Path) -> None:
        put("BraTS-PED-00001-000/BraTS-PED-00001-000-t2f.nii.gz")
        seg = put("BraTS-PED-00001-000/BraTS-PED-00001-000-seg.nii.gz", [1, 2, 3, 4])
        with pytest.raises(InputError, match="paediatric labels changed their meaning"):
            through(tmp_path / "in", tmp_path / "out.zarr", regions="WT,TC,ET")
        door = through(tmp_path / "in", tmp_path / "out.zarr")
        assert door.voxels("BraTS-PED-00001-000") == [count(seg)]

    def test_a_region_that_nothing_holds(self, put: Put, tmp_path: Path) -> None:
        put("p1/p1_t1.nii.gz")
        put("p1/p1_seg.nii.gz", [1, 2])
        door = through(tmp_path / "in", tmp_path / "out.zarr", regions="head=1,foo=9")
        assert "the region foo (label 9) is empty in p1" in door.said
        assert "label 2 is in no region" in door.said

    def test_an_evaluation_across_the_years(self, put: Put, tmp_path: Path) -> None:
        name = "BraTS-GLI-00001-000"
        put(f"truths/{name}/{name}-seg.nii.gz", [1, 2, 3])
        path = put(f"masks/{name}.nii.gz", [1, 2, 4])
        truth = tmp_path / "in" / "truths" / name / f"{name}-seg.nii.gz"
        array = np.asarray(nib.load(truth).dataobj)
        written = nib.Nifti1Image(
            np.where(array == 3, 4, array).astype(np.uint8), nib.load(truth).affine
        )
        nib.save(written, path)
        for regions in ("WT,ET", "WT=1+2+3+4,ET=4"):
            masks, truths = tmp_path / "in" / "masks", tmp_path / "in" / "truths"
            scores = finish(evaluate_masks(masks, truths, regions=regions)).scores
            assert {score.region: score.dice for score in scores} == {"WT": 1.0, "ET": 1.0}, regions


class TestFiles:
    @pytest.mark.parametrize("what", ["folders", "files", "mixed"])
    def test_links(self, put: Put, tmp_path: Path, what: str) -> None:
        for case in "AB":
            put(f"../lake/{case}/{case}_t1.nii.gz")
            put(f"../lake/{case}/{case}_seg.nii.gz", [1])
            if what == "files" or (what == "mixed" and case == "A"):
                (tmp_path / "in" / case).mkdir(parents=True)
                for path in (tmp_path / "lake" / case).iterdir():
                    (tmp_path / "in" / case / path.name).symlink_to(path)
            else:
                (tmp_path / "in").mkdir(exist_ok=True)
                (tmp_path / "in" / case).symlink_to(f"../lake/{case}")
        door = through(tmp_path / "in", tmp_path / "out.zarr")
        assert door.modalities() == {"A": "T1+seg", "B": "T1+seg"}

    def test_gzip_by_content(self, put: Put, tmp_path: Path) -> None:
        plain = put("p1/p1_t1.nii")
        plain.rename(plain.with_name("p1_t1.nii.gz"))
        packed = put("p1/p1_t2.nii")
        packed.write_bytes(gzip.compress(packed.read_bytes(), mtime=0))
        door = through(tmp_path / "in", tmp_path / "out.zarr")
        assert door.modalities() == {"p1": "T1+T2"}

    def test_dicom_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "IM0001").write_bytes(b"\0" * 128 + b"DICM" + b"\0" * 400)
        with pytest.raises(
            InputError, match="none of its DICOM files is an image of MR that can be read"
        ):
            through(tmp_path / "in", tmp_path / "out.zarr")

    def test_several_data_sets(self, put: Put, tmp_path: Path) -> None:
        put("mine/p1/p1_t1.nii.gz")
        phantoms.write_nnunet(tmp_path / "in" / "other", 1, shape=SHAPE, modalities=("t1",))
        with pytest.raises(InputError, match="mine .*; |other .*; "):
            through(tmp_path / "in", tmp_path / "out.zarr")


class TestIdentity:
    def test_equal_names_never_replace_each_other(self, put: Put, tmp_path: Path) -> None:
        for patient in ("P1", "P2"):
            put(f"{patient}/case/MR/flair.nii.gz")
            put(f"{patient}/case/MR/seg.nii.gz", [1])
        first = through(tmp_path / "in" / "P1", tmp_path / "out.zarr")
        (name,) = first.cases
        again = through(tmp_path / "in" / "P2", tmp_path / "out.zarr")
        assert "from other scans is in the store already" in again.skipped[name]
        assert again.cases[name].content == first.cases[name].content

    def test_a_mask_of_another_scan_stays(self, put: Put, tmp_path: Path) -> None:
        out, options = tmp_path / "masks", PredictOptions(overlays=False, allow_missing=True)
        contents: dict[str, bytes] = {}
        for patient in ("P1", "P2"):
            put(f"{patient}/case/flair.nii.gz")
            recipe = predict(
                tmp_path / "in" / patient / "case", out, open_run("base"), select("cpu"), options
            )
            report = finish(recipe)
            contents[patient] = (out / "case.nii.gz").read_bytes()
        assert contents["P1"] == contents["P2"]
        assert "another scan" in dict(report.skipped)["case"]


def test_every_refusal_is_one_of_ours(put: Put, tmp_path: Path) -> None:
    """A folder of strangers: whatever comes of it, it is an error of mriseg's or a result."""
    put("a/b/c/T1.nii.gz")
    put("a/labels/c.nii.gz", [3, 7, 200])
    put("a/b/brain_mask.nii.gz", [1])
    (tmp_path / "in" / "a" / "FLAIR.nii.gz").symlink_to("nowhere")
    try:
        door = through(tmp_path / "in", tmp_path / "out.zarr")
    except MrisegError as error:
        assert "FLAIR" in str(error)
    else:
        assert "FLAIR.nii.gz" in door.said
