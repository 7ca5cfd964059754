"""A part's run is one that never saw it and was trained as the others, and what it gave is kept."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.core.cross_validation import PartTrial
from mriseg.core.sampling import patients
from mriseg.errors import InputError
from mriseg.events import Advanced, Began, Event, finish
from mriseg.io.cross_validations import read_held
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store
from mriseg.recipes.case_work import backend_for
from mriseg.recipes.held_out import CrossStudy
from tests.trainings import changed


@pytest.fixture
def own(trained: Run) -> Run:
    """A run whose validation patients were in fact left out."""
    config = {**trained.manifest.config, "validation": 0.0}
    return Run(trained.path, replace(trained.manifest, validation=(), config=config))


@pytest.fixture
def study(
    brats_store: Store, trained: Run, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> CrossStudy:
    index, train = brats_store.index(), trained.manifest.train
    every = frozenset(case.name for case in index.cases)
    held = tuple(sorted(every - set(train)))
    reads = trained.manifest.modalities
    return CrossStudy(
        out=tmp_path / "out",
        store=brats_store,
        source=None,
        backend=backend_for(cpu),
        config=changed(tiny, validation=0.0, modalities=reads),
        cases=every,
        patients=patients(index.cases),
        regions=dict(trained.manifest.regions),
        folds=1,
        new_head=False,
        trials=(PartTrial("scratch", "all", len(train), 0, 1, train, held, "DU"),),
        subsets=((), ("FLAIR",), reads),
        groups=dict.fromkeys(held, "DU"),
    )


def test_a_case_is_wanted_once_for_each_subset_and_predicted_once_for_the_same(
    study: CrossStudy, trained: Run
) -> None:
    [trial] = study.trials
    rows = study.wanted(trial)
    assert [row.subset for row in rows[:3]] == ["all", "FLAIR", "+".join(study.reads)]
    assert len(rows) == 3 * len(trial.held) and rows[0].used == rows[2].used == study.reads
    assert {(row.group, row.part) for row in rows} == {("DU", "DU")}
    more = replace(study, subsets=(("ADC",),))
    assert more.wanted(trial) == []


def test_what_it_gave_is_kept_and_goes_on_where_it_was_stopped(study: CrossStudy, own: Run) -> None:
    [trial] = study.trials
    place = Path(shutil.copytree(own.path, study.out / "runs/DU"))
    run = Run(place, own.manifest)
    assert not study.is_done(trial)
    stopped = study.measure(trial, run)
    for _ in stopped:
        if study.predicted(trial):
            stopped.close()
    assert len(study.predicted(trial)) == 1 and not study.is_done(trial)
    events: list[Event] = []
    finish(study.measure(trial, run), events.append)
    assert study.is_done(trial)
    left = 2 * len(trial.held) - 1
    texts = {event.item for event in events if isinstance(event, Advanced)}
    assert texts == {f"held out {i + 1}/{left}" for i in range(left)}
    assert Began("train", 1, "step") in events
    for key, case in study.predicted(trial).items():
        mask = read_held(study.folder(trial) / case.file, len(study.regions))
        assert mask.tallies.sum() == mask.logits.size and key == (case.case, case.used)
    scores = study.scores(trial)
    assert [score.case for score in scores] == list(trial.held)
    assert not open_run(place).load("last").optimiser


def test_a_run_that_is_not_alike_is_refused_with_all_that_differs(
    study: CrossStudy, trained: Run, own: Run
) -> None:
    [trial] = study.trials
    study.check(trial, own)
    with pytest.raises(InputError, match="cannot stand for DU: 1 of its cases validated"):
        study.check(trial, trained)
    other = replace(
        own.manifest,
        train=own.manifest.train[1:],
        regions={"WT": (1,)},
        model={**own.manifest.model, "width": 16},
        parent={"run": "runs/base"},
        config={**own.manifest.config, "seed": 7, "exclude": ["x"], "checkpoint_every": 5.0},
    )
    with pytest.raises(InputError) as raised:
        study.check(trial, Run(own.path, other))
    text = str(raised.value)
    for part in (
        f"it was not trained on {own.manifest.train[0]}",
        "regions is {'WT': (1,)} there",
        "width is 16 there and 8 in",
        "start is base there and None",
        "seed is 7 there and 0 in",
    ):
        assert part in text, part
    assert "exclude" not in text and "checkpoint_every" not in text


def test_an_adopted_run_is_copied_once_and_left_as_it_is(study: CrossStudy, own: Run) -> None:
    before = {path.name for path in own.path.iterdir()}
    study.adopt(study.trials[0], own)
    study.adopt(study.trials[0], own)
    copy = study.begun(study.trials[0])
    assert copy is not None and copy.path == study.out / "runs/DU" and copy.ended
    assert {path.name for path in own.path.iterdir()} == before


def test_it_can_be_sent(study: CrossStudy) -> None:
    back = pickle.loads(pickle.dumps(study.sent()))
    assert back.trials == study.trials and back.reads == study.reads
    assert back.wanted(back.trials[0]) == study.wanted(study.trials[0])
    assert [part.name for part in study.plan.parts] == ["DU"]
    assert "transfer" in study.plan.config
