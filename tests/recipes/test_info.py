from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mriseg
from mriseg import api
from mriseg.errors import InputError
from mriseg.io.store import open_store
from mriseg.recipes.info import StoreInfo, holds
from mriseg.testing import phantoms


def test_a_store(tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "brats", 2, shape=(8, 40, 36))
    phantoms.write_brats(tmp_path / "brats" / "more", 1, shape=(8, 40, 36), names="2023")
    # One case without a segmentation, and one that lacks a modality.
    next((tmp_path / "brats").glob("*_001/*seg*")).unlink()
    next((tmp_path / "brats").glob("*_002/*t1ce*")).unlink()
    store = tmp_path / "out.zarr"
    api.preprocess(tmp_path / "brats", store, workers=1)
    info = holds(store)
    assert isinstance(info, StoreInfo)
    assert (info.cases, info.patients, info.labelled) == (3, 3, 2)
    assert info.modalities == {"T1": 3, "T1CE": 2, "T2": 3, "FLAIR": 3}
    assert 0 < info.foreground["WT"] <= info.slices
    labelled, bare, other = info.listed
    assert [case.labelled for case in info.listed] == [True, False, True]
    assert bare.voxels == bare.volumes == {} and len(other.modalities) == 3
    assert labelled.size == (36, 40, 8) and labelled.unit == "mm"
    voxels = labelled.voxels["WT"]
    assert labelled.volumes["WT"] == pytest.approx(voxels * np.prod(labelled.spacing) / 1000)
    labels = open_store(store).read_case(labelled.name).labels
    assert labels is not None and voxels == int((labels > 0).sum())


def test_a_store_is_described_without_torch(tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "brats", 1, shape=(8, 40, 36))
    api.preprocess(tmp_path / "brats", tmp_path / "out.zarr", workers=1)
    code = (
        "import sys; from mriseg.cli.app import app; app(['info', 'out.zarr'], "
        "standalone_mode=False); assert 'torch' not in sys.modules, 'torch was loaded'"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(mriseg.__file__).parents[1])},
        check=True,
    )


def test_what_is_neither(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a store"):
        holds(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        holds(tmp_path / "nothing")
