from __future__ import annotations

from pathlib import Path

import pytest

from mriseg import api
from mriseg.backends import BACKENDS, select
from mriseg.errors import InputError
from mriseg.recipes.info import RunInfo, StoreInfo, holds, machine
from mriseg.testing import phantoms


def test_the_machine_lists_every_backend_and_why_not() -> None:
    info = machine(select("cpu"))
    assert [name for name, _, _ in info.backends] == list(BACKENDS)
    assert all(ok or why for _, ok, why in info.backends)
    assert ("cpu", True, "") in info.backends
    assert info.chosen["name"] == "cpu" and info.cores >= 1
    assert "unknown" not in info.versions.values()


def test_a_store_and_a_run(tmp_path: Path) -> None:
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

    report = api.train(store, epochs=1, width=8, backend="cpu", out=tmp_path / "run")
    run = holds(report.run)
    assert isinstance(run, RunInfo)
    assert (run.width, run.train, run.validation, run.epochs) == (8, 1, 1, 1)
    assert run.spacing == pytest.approx((1, 1))
    assert run.dice == pytest.approx(report.best)
    assert run.weights == "best" and run.ended == report.reason and run.parent is None
    assert run.curves == tmp_path / "run" / "curves.png" and run.curves.exists()
    run.curves.unlink()
    without = holds(report.run)
    assert isinstance(without, RunInfo) and without.curves is None


def test_what_is_neither(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="neither a store"):
        holds(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        holds(tmp_path / "nothing")
