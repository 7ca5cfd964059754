"""Commands as typed: what they choose if it is not given, write, report, and how they fail."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from mriseg.io import nifti
from tests.cli.conftest import Type


def test_predict_writes_masks_and_a_table(worked: Path, run: Path, type_in: Type) -> None:
    result = type_in(worked, "mriseg predict brats out --probabilities --flips --min-volume 0.1")
    assert result.exit_code == 0, result.output
    assert f"run {run}, the newest" in result.stderr
    assert "WT (mL)" in result.stdout and "BraTS20_Training_003" in result.stdout
    names = sorted(path.name for path in (worked / "out").iterdir())
    assert names[:3] == [
        f"BraTS20_Training_001{end}" for end in (".nii.gz", ".png", "_prob_WT.nii.gz")
    ]
    assert len(names) == 15 and names[-6:] == [
        "labels-itksnap.txt",
        "labels-slicer.ctbl",
        "report.html",
        "report.json",
        "volumes.csv",
        "volumes.json",
    ]
    again = type_in(worked, "mriseg predict brats out --probabilities --flips --min-volume 0.1")
    assert again.exit_code == 0 and again.stdout.count("(kept)") == 3
    other = type_in(worked, "mriseg predict brats out --flips")
    assert other.exit_code == 6 and "other settings" in other.stderr and "0.1" in other.stderr
    assert type_in(worked, "mriseg predict brats out --overwrite").exit_code == 0
    assert len(list((worked / "out").iterdir())) == 12  # the maps were of other masks

    one = "mriseg predict brats mask.nii.gz --cases BraTS20_Training_002 --no-overlays"
    assert type_in(worked, one).exit_code == 0
    scan = next((worked / "brats").glob("*_002/*flair*"))
    mask, geometry = nifti.read(worked / "mask.nii.gz")
    assert mask.shape == nifti.read(scan)[0].shape
    assert np.allclose(geometry.affine, nifti.read(scan)[1].affine)
    assert not (worked / "mask.png").exists()


def test_parts_of_the_cases_fill_one_folder(worked: Path, run: Path, type_in: Type) -> None:
    for part in ("2/2", "1/2", "4/4"):
        done = type_in(worked, f"mriseg predict brats out --model {run} --part {part}")
        assert done.exit_code == 0, done.output
    assert "part 4/4: 0 of 3 cases" in done.stderr
    page = (worked / "out" / "report.html").read_text(encoding="utf-8")
    assert all(f"BraTS20_Training_00{n}.nii.gz" in page for n in (1, 2, 3))
    whole = type_in(worked, f"mriseg predict brats out --model {run}")
    assert whole.exit_code == 0 and whole.stdout.count("(kept)") == 3


def test_predict_skips_what_it_cannot_use(worked: Path, run: Path, type_in: Type) -> None:
    next((worked / "brats").glob("*_002/*flair*")).unlink()
    result = type_in(worked, f"mriseg predict brats out --model {run}")
    assert result.exit_code == 6
    assert "it lacks FLAIR" in result.stderr
    assert "BraTS20_Training_001" in result.stdout
    allowed = type_in(worked, f"mriseg predict brats out --model {run} --allow-missing")
    assert allowed.exit_code == 0, allowed.output
    other = type_in(worked, "mriseg predict brats out --cases nobody")
    assert other.exit_code == 3 and "no case nobody" in other.stderr


def test_evaluate_a_model(worked: Path, run: Path, type_in: Type) -> None:
    result = type_in(
        worked, "mriseg evaluate --out scores --csv a.csv --json a.json --include-seen"
    )
    assert result.exit_code == 0, result.output
    assert "store out.zarr, the only one" in result.stderr and f"run {run}" in result.stderr
    words = ("Dice", "IoU", "sensitivity", "HD95 (mm)", "95 % interval", "median")
    for word in (*words, "NSD at 2 mm", "lesion F1"):
        assert word in result.stdout
    # Two of three were trained on, and are flagged.
    assert result.stdout.count("*") == 3 and "says nothing about new cases" in result.stdout
    with (worked / "a.csv").open() as file:
        assert [row["seen"] for row in csv.DictReader(file)].count("True") == 2
    assert (worked / "a.csv").read_bytes() == (worked / "scores" / "cases.csv").read_bytes()
    assert len(json.loads((worked / "a.json").read_text())["cases"]) == 3


def test_evaluate_files(worked: Path, type_in: Type) -> None:
    masks = worked / "masks"
    for truth in (worked / "brats").glob("*/*_seg.nii.gz"):
        masks.mkdir(exist_ok=True)
        shutil.copy(truth, masks / truth.name.replace("_seg", ""))
    result = type_in(worked, "mriseg evaluate --masks masks --truths brats --regions WT=1+2+4,ET=4")
    assert result.exit_code == 0, result.output
    assert len(re.findall(r"(WT|ET) +1\.000 +1\.000", result.stdout)) == 6
    line = "mriseg evaluate --masks masks --truths brats --regions ET,TC --tolerance 3"
    by_name = type_in(worked, line)
    assert by_name.exit_code == 0 and "NSD at 3 mm" in by_name.stdout, by_name.output
    assert len(re.findall(r"(TC|ET) +1\.000 +1\.000", by_name.stdout)) == 6
    refused = type_in(worked, "mriseg evaluate out.zarr --tolerance 3")
    assert refused.exit_code == 2 and "--tolerance goes with --masks" in refused.stderr
    (masks / "stray.nii.gz").write_bytes(next(masks.iterdir()).read_bytes())
    stray = type_in(worked, "mriseg evaluate --masks masks --truths brats")
    assert stray.exit_code == 6 and "stray" in stray.stderr


@pytest.mark.slow
def test_the_shipped_model_works_wherever_a_run_does(worked: Path, type_in: Type) -> None:
    computing = "--backend cpu --precision fp32"
    quick = f"--no-flips {computing}"
    for line, said in (
        ("mriseg info base", "its training is not included"),
        (f"mriseg predict brats masks --model base --allow-missing {quick}", "BraTS20"),
        (f"mriseg evaluate out.zarr --model base {quick}", "Dice"),
        ("mriseg export torchscript --model base", "base.torchscript.pt"),
        (f"mriseg transfer --from base --budget 1s --batch-size 8 {computing}", "tensors"),
    ):
        result = type_in(worked, line)
        assert result.exit_code == 0, result.output
        assert said in result.output, line
    assert (worked / "base.torchscript.pt").is_file()
    result = type_in(worked, "mriseg predict brats masks --model bsae")
    assert result.exit_code == 3
    assert "shipped: base. Did you mean 'base'?" in " ".join(result.output.split())


def test_what_a_model_would_need_is_refused_beside_masks(worked: Path, type_in: Type) -> None:
    line = "mriseg evaluate --masks out --truths brats --no-flips --threshold 0.9 --include-seen"
    result = type_in(worked, line)
    assert result.exit_code == 2
    assert "leave out --include-seen, --no-flips, --threshold" in result.stderr
