"""A training on all patients takes the calibration of those who were left out, and keeps it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mriseg.backends import Backend
from mriseg.core.calibration import Calibration
from mriseg.core.certainty import CertaintyMap
from mriseg.core.config import TrainConfig
from mriseg.errors import ConfigError, InputError, RunError
from mriseg.events import Event, Notice, finish
from mriseg.io.cross_validations import CALIBRATION, GivenCalibration, write_calibration
from mriseg.io.runs import open_run
from mriseg.io.store import Store
from mriseg.recipes.given_calibration import differing, with_given
from mriseg.recipes.resume import resume
from mriseg.recipes.setup import plan_training
from mriseg.recipes.train import train

LEVEL = Calibration(1.5, -1.0, 0.375, 0.1)


@pytest.fixture
def given(short: TrainConfig, brats_store: Store, tmp_path: Path) -> GivenCalibration:
    """Of a cross-validation of ``short``, in ``tmp_path/cross``."""
    task = plan_training(brats_store, short).task
    calibration = GivenCalibration(
        task.modalities,
        task.regions,
        8,
        short.model_dump(mode="json"),
        {"WT": LEVEL},
        9,
        ("DU",),
        ("all",),
        {"WT": CertaintyMap(1.5, 0.1, 0.8, 0.8, None, 0.9, 9)},
    )
    write_calibration(tmp_path / "cross", calibration)
    return calibration


def asking(config: TrainConfig, tmp_path: Path, **changes: object) -> TrainConfig:
    return config.model_copy(
        update={"validation": 0.0, "calibration": str(tmp_path / "cross"), **changes}
    )


def test_a_run_has_the_calibration_and_keeps_it_when_it_is_resumed(
    given: GivenCalibration, brats_store: Store, short: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    events: list[Event] = []
    config = asking(short, tmp_path, epochs=1, slices_per_epoch=4, checkpoint_every=0.001)
    stopped = train(brats_store, config, cpu, out=tmp_path / "run")
    for event in stopped:
        events.append(event)
        if (tmp_path / "run/last.safetensors").exists():
            stopped.close()
    text = " ".join(event.text for event in events if isinstance(event, Notice))
    assert "those of 9 patients who were left out in a cross-validation, of DU" in text
    assert (
        "trained with other slices_per_epoch (48 there, 4 here), epochs (2 there, 1 here)" in text
    )
    shutil.rmtree(tmp_path / "cross")
    shutil.copytree(tmp_path / "run", tmp_path / "lost")
    finish(resume(open_run(tmp_path / "run"), cpu))
    run = open_run(tmp_path / "run")
    assert run.calibration().regions == (LEVEL,)
    sure = run.certainty()
    assert sure is not None and sure.regions == given.certainty and sure.scans is not None
    assert (run.path / CALIBRATION).exists()
    (tmp_path / "lost" / CALIBRATION).unlink()
    with pytest.raises(RunError, match="the calibration of .*lost is lost"):
        finish(resume(open_run(tmp_path / "lost"), cpu))


def test_the_width_is_that_of_the_networks_it_is_of(
    given: GivenCalibration, brats_store: Store, short: TrainConfig, tmp_path: Path
) -> None:
    setup = plan_training(brats_store, asking(short, tmp_path, width=None))
    assert with_given(setup).width == 8
    assert with_given(setup).prior_calibrations == {"WT": LEVEL}
    plain = plan_training(brats_store, short)
    assert with_given(plain) is plain


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validation": 0.3}, "1 case would validate: add --validation 0"),
        ({"modalities": ("FLAIR",)}, r"other modalities FLAIR\+T1 \(here FLAIR\)"),
        ({"regions": ("TC",)}, "other regions"),
        ({"width": 16}, r"other width 8 \(here 16\)"),
    ],
)
def test_of_other_networks_it_is_refused_before_anything_is_written(
    given: GivenCalibration,
    brats_store: Store,
    short: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
    changes: dict[str, object],
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        config = asking(short, tmp_path, **changes)
        finish(train(brats_store, config, cpu, out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_where_there_is_none_it_says_what_to_name(
    brats_store: Store, short: TrainConfig, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="name the folder of a finished mriseg cross-validate"):
        with_given(plan_training(brats_store, asking(short, tmp_path)))


def test_who_trained_is_no_difference(given: GivenCalibration) -> None:
    now = {**given.config, "exclude": ["a"], "seed": 5, "validation": 0.5}
    assert differing(given.config, now) == []
    assert differing(given.config, {**now, "loss": "bce"}) == ["loss (bce+dice there, bce here)"]
    assert differing(replace(given, config={}).config, {}) == []
