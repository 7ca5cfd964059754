"""MONAI bundles: the contract, and a run of ``python -m monai.bundle`` where MONAI is installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from mriseg.backends import select
from mriseg.events import finish
from mriseg.io.exporters import exporter_of
from mriseg.io.exporters.monai import EXPORTER, FOLDER
from mriseg.recipes.export import export
from mriseg.recipes.predict import PredictOptions, predict
from mriseg.testing import ExporterContract, phantoms
from tests.io.exporters.one_level import one_level
from tests.recipes.test_export import a_run

_LACKING = [name for name in ("monai", "ignite", "fire") if find_spec(name) is None]

# As docs/export.md has it.
COMMAND = (
    "-m monai.bundle run --config_file configs/inference.json --bundle_root . "
    "--dataset_dir ../scans --output_dir ../masks"
)


class TestMonai(ExporterContract):
    exporter = EXPORTER

    def test_it_is_a_bundle(self, path: Path) -> None:
        assert exporter_of(path) is EXPORTER
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            assert all(name.startswith(f"{FOLDER}/") for name in names)
            metadata = json.loads(archive.read(f"{FOLDER}/configs/metadata.json"))
            inference = json.loads(archive.read(f"{FOLDER}/configs/inference.json"))
        assert {"version", "monai_version", "pytorch_version", "numpy_version"} <= set(metadata)
        data = metadata["network_data_format"]
        assert data["inputs"]["image"]["channel_def"] == {"0": "T1", "1": "FLAIR"}
        assert data["outputs"]["pred"]["channel_def"] == {"0": "WT", "1": "TC", "2": "ET"}
        assert inference["thresholds"] == [0.5, 0.5, 0.5]


@pytest.mark.slow
@pytest.mark.skipif(bool(_LACKING), reason=f"{', '.join(_LACKING)}: not installed (mriseg[monai])")
def test_monai_runs_it_and_gives_the_mask_of_predict(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    path = finish(export(run, "monai", tmp_path / "model.monai.zip")).path
    images, _ = phantoms.head(np.random.default_rng(0), (10, 70, 66), modalities=("t1", "flair"))
    case = phantoms.write_brats_case(
        tmp_path / "brats" / "BraTS20_Training_001", images, None, orientation="LAS"
    )
    given = tmp_path / "scans" / "one"
    given.mkdir(parents=True)
    for name, modality in (("T1", "t1"), ("FLAIR", "flair")):
        [file] = case.glob(f"*_{modality}.nii.gz")
        (given / f"{name}.nii.gz").write_bytes(file.read_bytes())
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path)
    done = subprocess.run(
        [sys.executable, *COMMAND.split()],
        cwd=tmp_path / FOLDER,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr

    options = PredictOptions(
        overlays=False, probabilities=True, flips=False, adapt=False, refine=False
    )
    cpu = select("cpu", precision="fp32")
    finish(predict(tmp_path / "brats", tmp_path / "predicted", run, cpu, options))
    [mask] = (tmp_path / "masks").rglob("*_mask.nii.gz")
    image = nib.load(mask)
    assert image.shape == (66, 70, 10, 3)
    for index, region in enumerate(("WT", "TC", "ET")):
        [prob] = (tmp_path / "predicted").glob(f"*_prob_{region}.nii.gz")
        expected = nib.load(prob)
        assert np.allclose(image.affine, expected.affine)
        segmented = expected.get_fdata() > 0.5
        assert 0.01 < segmented.mean() < 0.6
        differ = np.count_nonzero((image.get_fdata()[..., index] > 0) != segmented)
        # Prediction's scan is in float16. Of a network that was never trained, many voxels are at
        # the threshold.
        assert differ <= 2e-3 * segmented.size, differ


def test_a_head_with_its_skull_is_refused(tmp_path: Path) -> None:
    network, path = one_level(), tmp_path / "model.zip"
    EXPORTER.export(network, {}, path)
    predict_scan = EXPORTER.load(path).predict_scan
    assert predict_scan is not None
    with pytest.raises(torch.jit.Error, match="remove the skull first"):
        predict_scan(torch.rand(2, 5, 40, 40))
