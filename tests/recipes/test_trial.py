"""One training of a comparison: its configuration, its result, and what is refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.core.sampling import patients
from mriseg.core.trials import Trial
from mriseg.errors import InputError
from mriseg.events import finish
from mriseg.io import comparisons
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store
from mriseg.recipes.case_work import backend_for
from mriseg.recipes.loaded import lazy_run
from mriseg.recipes.trial import Study


@pytest.fixture
def study(
    brats_store: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> Study:
    index = brats_store.index()
    return Study(
        out=tmp_path / "out",
        store=brats_store,
        source=lazy_run(trained),
        backend=backend_for(cpu),
        config=tiny.model_copy(update={"epochs": 1, "slices_per_epoch": 8, "validation": 0.0}),
        cases=frozenset(case.name for case in index.cases),
        patients=patients(index.cases),
        regions=dict(index.regions),
        folds=2,
        new_head=False,
    )


def trial_of(study: Study, run: Run) -> Trial:
    train = run.manifest.train
    held = tuple(sorted(study.cases - set(train)))
    return Trial("scratch", "all", len(train), 0, 1, train, held)


def placed(study: Study, trial: Trial, run: Run) -> Run:
    """A finished training in the place of the trial's."""
    path = study.out / "runs" / trial.place
    return open_run(shutil.copytree(run.path, path))


def test_a_trial_that_is_measured_is_done_and_keeps_no_optimiser(
    study: Study, trained: Run
) -> None:
    trial = trial_of(study, trained)
    run = placed(study, trial, trained)
    assert run.load("last").optimiser and not study.is_done(trial)
    # It has ended, so it is not trained again.
    assert finish(study.train(trial)).manifest == run.manifest
    finish(study.measure(trial, run))
    assert study.is_done(trial) and not run.load("last").optimiser
    scores = study.scores(trial)
    assert sorted(score.case for score in scores) == sorted(trial.held)
    for score in scores:
        assert score.dice == pytest.approx(sum(score.regions.values()) / len(score.regions))
        assert set(score.regions) == set(run.manifest.regions)


def test_a_run_of_other_cases_than_planned_is_refused(study: Study, trained: Run) -> None:
    trial = trial_of(study, trained)
    placed(study, trial, trained)
    with pytest.raises(InputError, match="and planned were .*; start again in another"):
        finish(study.train(replace(trial, train=trial.train[:1])))


def test_a_result_of_other_cases_is_refused(study: Study, trained: Run) -> None:
    trial = trial_of(study, trained)
    run = placed(study, trial, trained)
    finish(study.measure(trial, run))
    with pytest.raises(InputError, match=r"result\.json is not of the cases that were held out"):
        study.scores(replace(trial, held=("another",)))


def test_a_case_that_trained_cannot_be_measured(study: Study, trained: Run) -> None:
    trial = trial_of(study, trained)
    run = placed(study, trial, trained)
    with pytest.raises(InputError, match="--exclude|include"):
        finish(study.measure(replace(trial, held=(*trial.held, trial.train[0])), run))
    assert comparisons.read_result(run.path) is None


def test_the_plan_leaves_out_what_decides_no_number(study: Study) -> None:
    plan = study.plan
    assert "checkpoint_every" not in plan.config and "transfer" not in plan.config
    assert {case.name for case in plan.cases} == study.cases
    other = replace(study, config=study.config.model_copy(update={"checkpoint_every": 1.0}))
    assert plan.differences(other.plan) == []
