"""Without the command line: the names of ``import mriseg``, on paths and on open things alike."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest

import mriseg
from mriseg import api
from mriseg.errors import BackendError, ConfigError, RunError
from mriseg.events import Event, Measured, Notice
from mriseg.testing import phantoms

SETTINGS = {"epochs": 1, "width": 8, "batch_size": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """``brats/``, ``out.zarr`` and ``run/``; and the current folder is another."""
    root = tmp_path_factory.mktemp("api")
    phantoms.write_brats(root / "brats", 3, shape=(12, 40, 36))
    (root / "elsewhere").mkdir()
    with chdir(root / "elsewhere"):
        report = mriseg.preprocess(root / "brats", str(root / "out.zarr"), workers=1)
        assert [case.status for case in report.cases] == ["written"] * 3
        mriseg.train(str(root / "out.zarr"), backend="cpu", out=root / "run", **SETTINGS)
        yield root


def test_the_package_offers_what_the_module_holds() -> None:
    assert mriseg.__all__ is api.__all__
    for name in api.__all__:
        assert getattr(mriseg, name) is getattr(api, name)


def test_every_function_says_what_it_does() -> None:
    for name in api.__all__:
        assert inspect.getdoc(getattr(mriseg, name)), name


def test_train_with_a_configuration_and_settings_over_it(folder: Path) -> None:
    config = mriseg.TrainConfig(width=8, batch_size=4, budget=60.0, seed=3)
    store = mriseg.open_store(folder / "out.zarr")
    events: list[Event] = []
    report = mriseg.train(
        store,
        config,
        modalities="t2w,FLAIR",
        epochs=1,
        backend=mriseg.select("cpu", precision="fp32"),
        on_event=events.append,
    )
    # Unless named, a run is under the current folder.
    assert report.run.parent == Path("runs") and report.run.is_dir()
    used = mriseg.open_run(report.run).manifest.config
    assert (used["width"], used["batch_size"], used["seed"]) == (8, 4, 3)
    assert (used["epochs"], used["budget"]) == (1, None)
    assert used["modalities"] == ["T2", "FLAIR"]
    assert any(isinstance(event, Measured) for event in events)
    assert any(isinstance(event, Notice) for event in events)


def test_settings_that_cannot_work_are_refused_before_anything_is_written(folder: Path) -> None:
    out = folder / "never"
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        mriseg.train(folder / "out.zarr", out=out, epoch=3)
    with pytest.raises(ConfigError, match="setting of transfers"):
        mriseg.train(folder / "out.zarr", out=out, transfer={"freeze": "none"})
    with pytest.raises(ConfigError, match="no backend 'tpu'"):
        mriseg.train(folder / "out.zarr", out=out, backend="tpu")
    with pytest.raises(BackendError):
        mriseg.select("cpu", precision="fp16")
    assert not out.exists()


def test_resume_says_that_a_run_has_ended(folder: Path) -> None:
    with pytest.raises(RunError, match="has ended"):
        mriseg.resume(folder / "run", backend="cpu")


def test_transfer_inherits_the_width_and_takes_a_policy(folder: Path) -> None:
    report = mriseg.transfer(
        folder / "out.zarr",
        mriseg.open_run(folder / "run"),
        freeze="encoder:1",
        backend="cpu",
        out=folder / "carried",
        epochs=1,
        batch_size=8,
    )
    assert report.plan.target.width == 8
    manifest = mriseg.open_run(report.run).manifest
    assert manifest.parent is not None and manifest.parent["freeze"] == "encoder:1"

    config = mriseg.TrainConfig(epochs=1, transfer={"freeze": "none"})  # type: ignore[arg-type]
    free = mriseg.transfer(
        folder / "out.zarr", folder / "run", config, backend="cpu", out=folder / "free"
    )
    assert free.plan.target.width == 8 and not free.plan.frozen
    with pytest.raises(ConfigError):
        mriseg.transfer(folder / "out.zarr", folder / "run", width=16, backend="cpu", epochs=1)


def test_predict_evaluate_and_export(folder: Path) -> None:
    options = mriseg.PredictOptions(overlays=False)
    case = "BraTS20_Training_001"
    predicted = mriseg.predict(
        folder / "brats", folder / "masks", folder / "run", options, cases=case, backend="cpu"
    )
    assert [result.case for result in predicted.results] == [case]
    assert {path.name for path in (folder / "masks").iterdir()} == {f"{case}.nii.gz", "report.json"}

    scores = mriseg.evaluate(
        str(folder / "out.zarr"), str(folder / "run"), include_seen=True, cases=[case],
        backend="cpu",
    )  # fmt: skip
    files = mriseg.evaluate_masks(folder / "masks", folder / "brats", regions="WT=1+2+3+4")
    assert files.mean("WT") == 0 or files.mean("WT") <= 1
    assert [row.case for row in scores.scores] == [row.case for row in files.scores] == [case]

    exported = mriseg.export(folder / "run", out=folder / "model.pt")
    assert exported.path == folder / "model.pt" and exported.path.is_file()


def test_finish_runs_a_recipe(folder: Path) -> None:
    from mriseg.recipes.evaluate_masks import evaluate_masks

    truths = folder / "brats"
    report = mriseg.finish(evaluate_masks(truths / "BraTS20_Training_002", truths))
    assert report.scores
