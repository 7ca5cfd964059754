"""The trainings of a study: who takes part, what is said of them, and whose folder it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mriseg.core.trials import trials
from mriseg.errors import ConfigError, InputError, OutputError
from mriseg.events import Advanced, Began, Event, Measured, Notice, filtered, finish
from mriseg.io.comparisons import read_plan
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes.setup import plan_training
from mriseg.recipes.trainings import claim, extent, unseen
from mriseg.recipes.trial import Study
from tests.recipes.test_trial import study

__all__ = ["study"]  # a fixture


def test_a_folder_is_of_one_kind_and_one_plan(study: Study, tmp_path: Path) -> None:
    claim(study.out, study.plan, "forecast")
    assert read_plan(study.out, "forecast") == study.plan
    claim(study.out, study.plan, "forecast")
    with pytest.raises(ConfigError, match=r"holds a forecast with other folds; use the same"):
        claim(study.out, replace(study, folds=3).plan, "forecast")
    with pytest.raises(InputError, match="is not of a comparison"):
        claim(study.out, study.plan, "comparison")
    (tmp_path / "thesis.txt").write_text("")
    with pytest.raises(OutputError, match="is not a forecast"):
        claim(tmp_path, study.plan, "forecast")


def test_how_many_and_how_long(study: Study) -> None:
    cases = [case for group in study.patients for case in group]
    planned = trials(cases, ["scratch"], sizes=("1", "2"), count=2, seeds=[0])
    text = extent(study, planned, {"size": 2, "fold": 2, "seed": 1})
    assert text.startswith("4 trainings (2 sizes x 2 folds x 1 seeds) on 4 patients; how long")
    timed = replace(study, config=study.config.model_copy(update={"epochs": None, "budget": 90.0}))
    assert extent(timed, planned, {}).endswith("90 s each: 6 min, and the measuring")


def test_whom_a_source_knows_is_left_out(study: Study, brats_store: Store, trained: Run) -> None:
    setup = plan_training(brats_store, study.config)
    with pytest.raises(ConfigError, match="trained on 3 of the store's 4 patients"):
        unseen(setup, trained)
    seen = trained.manifest.seen[:1]
    kept, left_out = unseen(setup, Run(trained.path, replace(trained.manifest, seen=seen)))
    assert len(kept) == 3 and left_out == [seen[0].name]


def test_events_are_replaced_or_dropped_and_the_result_is_kept() -> None:
    closed: list[bool] = []

    def recipe():  # type: ignore[no-untyped-def]
        try:
            yield Began("train", 2, "step")
            yield Advanced("train", 1)
            return "the result"
        finally:
            closed.append(True)

    def replaced(event: Event) -> Event | None:
        return Notice("now") if isinstance(event, Advanced) else None

    events: list[Event] = []
    assert finish(filtered(recipe(), replaced), events.append) == "the result"
    assert events == [Notice("now")] and closed == [True]
    assert not any(isinstance(event, Measured) for event in events)
