"""A forecast trains nested sizes, measures on patients held out, says how long, and resumes."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.errors import ConfigError, InputError, OutputError
from mriseg.events import Advanced, Began, Event, Notice, Wrote, finish
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.compare import CompareOptions, compare
from mriseg.recipes.forecast import ForecastOptions, ForecastReport, forecast
from mriseg.recipes.preprocess import preprocess
from mriseg.testing import phantoms

OPTIONS = ForecastOptions(("1", "2", "all"), more=4, folds=2)
TRAININGS = 3 * 2


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Six people, of whom a fold leaves three."""
    root = tmp_path_factory.mktemp("people")
    phantoms.write_nnunet(root / "src", 6, seed=60, shape=(8, 32, 32), style="msd")
    finish(preprocess(root / "src", root / "out.zarr", regions="core", workers=1))
    return open_store(root / "out.zarr")


@pytest.fixture(scope="module")
def brief(tiny: TrainConfig) -> TrainConfig:
    """A training of two steps."""
    return tiny.model_copy(update={"epochs": 1, "slices_per_epoch": 8})


@pytest.fixture(scope="module")
def done(
    people: Store, brief: TrainConfig, cpu: Backend, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ForecastReport, list[Event]]:
    """A complete forecast, and its events."""
    out = tmp_path_factory.mktemp("forecast") / "out"
    events: list[Event] = []
    report = finish(forecast(people, None, brief, cpu, OPTIONS, out=out), events.append)
    return report, events


def notices(events: list[Event]) -> str:
    return " | ".join(event.text for event in events if isinstance(event, Notice))


def test_sizes_are_nested_and_nobody_is_measured_who_trained(
    done: tuple[ForecastReport, list[Event]], people: Store
) -> None:
    report, _ = done
    for fold in (1, 2):
        runs = [
            open_run(report.path / f"runs/patients-{size}/seed-0/fold-{fold}/scratch")
            for size in ("1", "2", "all")
        ]
        one, two, three = (set(run.manifest.train) for run in runs)
        assert one < two < three and [len(one), len(two), len(three)] == [1, 2, 3]
        for run in runs:
            rows = json.loads((run.path / "result.json").read_text())["cases"]
            assert not {row["case"] for row in rows} & three
            assert run.manifest.validation == ()
    for size in ("1", "2", "all"):
        cases = [score.case for score in report.scores if score.size == size]
        assert sorted(cases) == sorted(people.cases())


def test_what_it_writes_and_says(done: tuple[ForecastReport, list[Event]]) -> None:
    report, events = done
    assert {path.name for path in report.path.iterdir()} == {
        *("plan.json", "runs", "forecast.json", "forecast.csv", "forecast.png", "report.html"),
    }
    data = json.loads((report.path / "forecast.json").read_text())
    assert (data["format"], data["version"], data["source"]) == ("mriseg-forecast", 1, None)
    assert [point["patients"] for point in data["points"]] == [1, 2, 3]
    assert data["now"] == 6 and data["gain"]["patients"] == 4
    assert data["predicted"][-1]["patients"] == 10
    assert data["sentence"] == report.forecast.sentence
    with (report.path / "forecast.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(report.scores) == 3 * 6
    page = (report.path / "report.html").read_text()
    assert report.forecast.sentence[1:60] in page and "Cortes et al. 1993" in page

    text = notices(events)
    assert "6 trainings (3 sizes x 2 folds x 1 seeds) on 6 patients" in text
    assert "each training from scratch: random weights, all trained" in text
    [began] = [event for event in events if isinstance(event, Began)]
    assert (began.stage, began.total, began.unit) == ("forecast", TRAININGS, "training")
    steps = [event.done for event in events if isinstance(event, Advanced)]
    assert steps == sorted(steps) and steps[-1] == TRAININGS
    assert [event.what for event in events if isinstance(event, Wrote)][-1] == "report"


def test_stopped_it_goes_on_to_the_same_forecast_and_takes_more_sizes(
    done: tuple[ForecastReport, list[Event]],
    people: Store,
    brief: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
) -> None:
    report, _ = done
    few = replace(OPTIONS, sizes=("1", "2"))
    out = tmp_path / "out"
    shutil.copytree(report.path, out)
    for name in ("forecast.json", "forecast.csv", "forecast.png", "report.html"):
        (out / name).unlink()
    # One was stopped before it was measured, one before it began.
    (out / "runs/patients-2/seed-0/fold-1/scratch/result.json").unlink()
    shutil.rmtree(out / "runs/patients-2/seed-0/fold-2")
    stopped = forecast(people, None, brief, cpu, few, out=out)
    for _ in stopped:
        if (out / "runs/patients-2/seed-0/fold-2/scratch/last.safetensors").exists():
            stopped.close()
    assert not (out / "forecast.json").exists()
    events: list[Event] = []
    short = finish(forecast(people, None, brief, cpu, few, out=out), events.append)
    assert "4 trainings (2 sizes x 2 folds x 1 seeds)" in notices(events)
    assert short.forecast.sentence.startswith("too few points to say: 2 sizes")
    again = finish(forecast(people, None, brief, cpu, OPTIONS, out=out))
    assert again.forecast == report.forecast


def test_a_folder_of_something_else_is_refused(
    done: tuple[ForecastReport, list[Event]],
    people: Store,
    trained: Run,
    brief: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(done[0].path / "plan.json", out)
    other = brief.model_copy(update={"epochs": 2})
    with pytest.raises(ConfigError, match=r"holds a forecast with other epochs \(1 before, 2 now"):
        finish(forecast(people, None, other, cpu, OPTIONS, out=out))
    with pytest.raises(InputError, match="not of a comparison; choose another folder"):
        options = CompareOptions(("full",), ("all",), folds=2)
        finish(compare(people, trained, brief, cpu, options, out=out))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/thesis.txt").write_text("")
    with pytest.raises(OutputError, match="is not a forecast"):
        finish(forecast(people, None, brief, cpu, OPTIONS, out=tmp_path / "taken"))


def test_from_a_run_it_transfers_and_leaves_out_whom_that_knows(
    brats_store: Store, trained: Run, brief: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    seen = trained.manifest.seen[:1]
    source = Run(trained.path, replace(trained.manifest, seen=seen))
    events: list[Event] = []
    options = ForecastOptions(("1",), folds=3, rounds=1)
    out = tmp_path / "out"
    report = finish(forecast(brats_store, source, brief, cpu, options, out=out), events.append)
    assert f"left out, since three was trained on them: {seen[0].name}" in notices(events)
    assert report.forecast.now == 3
    [path] = out.glob("runs/**/run.json")
    parent = open_run(path.parent).manifest.parent
    assert parent is not None and parent["run"] == str(trained.path)


def test_it_says_how_long_it_takes_before_it_begins(
    people: Store, brief: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    config = brief.model_copy(update={"epochs": None})
    recipe = forecast(people, None, config, cpu, OPTIONS, out=tmp_path / "out")
    events: list[Event] = []
    for event in recipe:
        events.append(event)
        if isinstance(event, Began):
            recipe.close()
    # Ten minutes each, since nothing else was asked for.
    assert "10 min each: 60 min, and the measuring" in notices(events)
    assert events[-1] == Began("forecast", 6 * 600, "second")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (ForecastOptions(sizes=("4",), folds=2), "4 patients cannot train where a fold leaves 3"),
        (ForecastOptions(folds=9), "cannot be divided into 9 folds"),
        (ForecastOptions(seeds=0, folds=2), "seeds = 0: expected at least 1"),
        (ForecastOptions(more=0, folds=2), "more = 0: expected at least 1"),
    ],
)
def test_options_that_cannot_work_are_refused_at_once(
    people: Store,
    brief: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
    options: ForecastOptions,
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        finish(forecast(people, None, brief, cpu, options, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_settings_of_a_transfer_are_refused(
    people: Store, trained: Run, brief: TrainConfig, cpu: Backend
) -> None:
    frozen = TrainConfig.model_validate({**brief.model_dump(), "transfer": {"freeze": "none"}})
    with pytest.raises(ConfigError, match="transfers in one way"):
        finish(forecast(people, trained, frozen, cpu, OPTIONS))
    weights = brief.model_copy(update={"encoder_weights": "imagenet"})
    with pytest.raises(ConfigError, match="leave --encoder-weights out"):
        finish(forecast(people, trained, weights, cpu, OPTIONS))
