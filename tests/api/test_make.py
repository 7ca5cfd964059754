"""Making a model from Python: on paths and on open things alike."""

from __future__ import annotations

from pathlib import Path

import pytest

import mriseg
from mriseg.errors import BackendError, ConfigError, RunError
from mriseg.events import Event, Measured, Notice


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


def test_the_plan_of_a_folder(folder: Path) -> None:
    report = mriseg.inspect(str(folder / "brats"), workers=1, csv=folder / "cases.csv")
    assert len(report.cases) == 3 and not report.refused
    assert (folder / "cases.csv").is_file()


def test_a_forecast_takes_settings_as_a_training_does(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(mriseg.ConfigError, match="budget"):
        mriseg.forecast(folder / "out.zarr", budget="soon", backend="cpu", out=tmp_path / "out")
    options = mriseg.ForecastOptions(folds=99)
    with pytest.raises(mriseg.ConfigError, match="99 folds"):
        mriseg.forecast(folder / "out.zarr", options=options, backend="cpu", out=tmp_path / "out")
