"""Each patient is measured by a run that never saw it, with a threshold that it did not choose."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.core.cross_validation import parse_groups, parse_subsets
from mriseg.errors import ConfigError, InputError, OutputError
from mriseg.events import Advanced, Began, Event, Notice, Wrote, finish
from mriseg.io.cross_validations import read_calibration, read_cross_validation
from mriseg.io.disk.documents import plain
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.cross_validate import CrossOptions, CrossReport, cross_validate
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.train import train
from mriseg.testing import phantoms

GROUPS = parse_groups("A=*_00[123],B=*_00[45]")
OPTIONS = CrossOptions(leave_out=GROUPS, subsets=parse_subsets("all,flair"))

Done = tuple[CrossReport, list[Event]]


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Six people, of whom the last is of no institution."""
    root = tmp_path_factory.mktemp("people")
    phantoms.write_brats(root / "src", 6, seed=60, shape=(8, 32, 32))
    finish(preprocess(root / "src", root / "out.zarr", regions="WT", workers=1))
    return open_store(root / "out.zarr")


@pytest.fixture(scope="module")
def brief(tiny: TrainConfig) -> TrainConfig:
    """A training of two steps."""
    return tiny.model_copy(update={"epochs": 1, "slices_per_epoch": 8})


@pytest.fixture(scope="module")
def done(
    people: Store, brief: TrainConfig, cpu: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Done:
    """A complete cross-validation, and its events."""
    out = tmp_path_factory.mktemp("cross") / "out"
    events: list[Event] = []
    recipe = cross_validate(people, out, brief, cpu, options=OPTIONS)
    return finish(recipe, events.append), events


def notices(events: list[Event]) -> str:
    return " | ".join(event.text for event in events if isinstance(event, Notice))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def parts_of(report: CrossReport) -> dict[str, Run]:
    return {part: open_run(report.path / "runs" / part) for part in report.measured.parts}


def test_no_run_saw_whom_it_measures(done: Done, people: Store) -> None:
    report, _ = done
    runs = parts_of(report)
    assert list(runs) == ["A", "B"]
    rows = rows_of(report.path / "cross-validation.csv")
    for row in rows:
        run = runs[row["part"]]
        assert not run.manifest.seen_among(people.index().only([row["case"]]).cases)
        assert row["case"] not in run.manifest.train and row["group"] == row["part"]
    assert {row["case"] for row in rows} == {c for c in people.cases() if not c.endswith("6")}
    for run in runs.values():
        assert run.manifest.validation == () and any(c.endswith("6") for c in run.manifest.train)


def test_what_it_writes_and_says(done: Done) -> None:
    report, events = done
    assert {path.name for path in report.path.iterdir()} == {
        *("plan.json", "runs", "held", "cross-validation.json", "cross-validation.csv"),
        *("calibration.json", "evaluation.json", "cases.csv", "summary.csv", "dice.png"),
        "report.html",
    }
    data = json.loads((report.path / "cross-validation.json").read_text())
    assert (data["format"], data["version"]) == ("mriseg-cross-validation", 1)
    assert data["parts"] == {"A": 3, "B": 2} and data["trained"] == {"A": 3, "B": 4}
    assert data["leaves_out"] and data["subsets"] == ["all", "FLAIR"]
    dice = [row for row in data["figures"] if row["metric"] == "dice"]
    assert [(row["group"], row["subset"]) for row in dice] == [
        (group, subset) for group in ("", "A", "B") for subset in data["subsets"]
    ]
    assert [row["patients"] for row in dice] == [5] * 2 + [3] * 2 + [2] * 2
    assert plain(read_cross_validation(report.path)) == plain(report.measured)
    assert len(rows_of(report.path / "cases.csv")) == 5
    page = (report.path / "report.html").read_text()
    assert "Patients held out" in page and "leaving 2 groups out whole" in page

    text = notices(events)
    assert "A: 3 patients of 3 cases held out, 3 patients of 3 cases train" in text
    assert "1 case in no group: in every training, and not measured" in text
    assert "2 trainings (2 groups) on 6 patients" in text
    began = [event for event in events if isinstance(event, Began)]
    assert {"cross-validate", "measure"} <= {event.stage for event in began}
    steps = [e.done for e in events if isinstance(e, Advanced) and e.stage == "cross-validate"]
    assert steps == sorted(steps) and steps[-1] == 2
    assert [event.what for event in events if isinstance(event, Wrote)][-1] == "report"


@pytest.mark.slow
def test_stopped_anywhere_it_goes_on_to_the_same_result(
    done: Done, people: Store, brief: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    report, _ = done
    out = tmp_path / "out"
    shutil.copytree(report.path, out)
    for name in ("cross-validation.json", "calibration.json", "evaluation.json"):
        (out / name).unlink()
    shutil.rmtree(out / "held/A")
    shutil.rmtree(out / "runs/B")
    shutil.rmtree(out / "held/B")
    kept = (out / "runs/A/best.safetensors").read_bytes()
    stopped = cross_validate(people, out, brief, cpu, options=OPTIONS)
    for _ in stopped:
        if (out / "held/A/result.json").exists():
            stopped.close()
    assert not (out / "runs/B/best.safetensors").exists()
    fewer = len(json.loads((out / "held/A/result.json").read_text())["cases"])
    assert fewer < 6
    again = finish(cross_validate(people, out, brief, cpu, options=OPTIONS))
    assert (
        plain(again.measured) == plain(report.measured) and again.calibration == report.calibration
    )
    assert (out / "runs/A/best.safetensors").read_bytes() == kept


@pytest.mark.slow
def test_subsets_may_be_added_and_settings_not_changed(
    done: Done, people: Store, brief: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done[0].path, out)
    kept = (out / "runs/A/best.safetensors").read_bytes()
    more = replace(OPTIONS, subsets=parse_subsets("FLAIR,T2"))
    report = finish(cross_validate(people, out, brief, cpu, options=more))
    assert report.measured.subsets == ("FLAIR", "T2")
    assert (out / "runs/A/best.safetensors").read_bytes() == kept
    other = brief.model_copy(update={"epochs": 2})
    with pytest.raises(ConfigError, match=r"holds a cross-validation with other epochs \(1 before"):
        finish(cross_validate(people, out, other, cpu, options=OPTIONS))
    with pytest.raises(ConfigError, match="with other .*parts"):
        moved = replace(OPTIONS, leave_out=parse_groups("A=*_00[12],B=*_00[45]"))
        finish(cross_validate(people, out, brief, cpu, options=moved))
    with pytest.raises(OutputError, match="is not a cross-validation"):
        finish(cross_validate(people, tmp_path, brief, cpu, options=OPTIONS))


@pytest.mark.slow
def test_a_finished_run_is_taken_where_it_was_trained_alike(
    done: Done, people: Store, brief: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    report, _ = done
    held = [case for case in people.cases() if case[-1] in "123"]
    settings: dict[str, Any] = {"exclude": tuple(held), "validation": 0.0}
    alike = brief.model_copy(update={**settings, "width": report.measured.width})
    finish(train(people, alike, cpu, out=tmp_path / "alike"))
    events: list[Event] = []
    options = replace(OPTIONS, adopt={"A": open_run(tmp_path / "alike")})
    out = tmp_path / "out"
    again = finish(cross_validate(people, out, brief, cpu, options=options), events.append)
    assert "A: " in notices(events) and "is taken as its training" in notices(events)
    assert plain(again.measured) == plain(report.measured)
    assert (tmp_path / "alike/last.safetensors").stat().st_size > (
        out / "runs/A/last.safetensors"
    ).stat().st_size

    validated = alike.model_copy(update={"validation": 0.3})
    longer = alike.model_copy(update={"learning_rate": 0.5})
    others = alike.model_copy(update={"exclude": tuple(held[:2])})
    for name, config, message in (
        ("validated", validated, "1 of its cases validated, and none may"),
        ("longer", longer, "learning_rate is 0.5 there and 0.01 in this cross-validation"),
        ("others", others, f"it was trained on {held[2]} as well"),
    ):
        finish(train(people, config, cpu, out=tmp_path / name))
        options = replace(OPTIONS, adopt={"A": open_run(tmp_path / name)})
        with pytest.raises(InputError, match=f"cannot stand for A: {message}"):
            finish(cross_validate(people, tmp_path / f"{name}-out", brief, cpu, options=options))
        assert not (tmp_path / f"{name}-out/runs").exists()
    options = replace(OPTIONS, adopt={"C": open_run(tmp_path / "alike")})
    with pytest.raises(ConfigError, match="there is no part C; there are A, B"):
        finish(cross_validate(people, tmp_path / "c", brief, cpu, options=options))
    assert not (tmp_path / "c").exists()


@pytest.mark.slow
def test_folds_measure_everybody_and_calibrate_by_the_others(
    people: Store, brief: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    options = CrossOptions(folds=3, groups=GROUPS)
    report = finish(cross_validate(people, tmp_path / "out", brief, cpu, options=options))
    assert list(report.measured.parts) == ["fold-1", "fold-2", "fold-3"]
    assert report.measured.groups == ("A", "B", "other")
    assert report.measured.subsets == ("all",)  # training saw no case without a modality
    assert len(report.scores.scores) == 6
    assert report.calibration == read_calibration(tmp_path / "out")
    assert report.calibration is not None and report.calibration.patients == 6
    levels = {part: of["WT"] for part, of in report.measured.nested.items()}
    assert report.calibration.calibrations["WT"] not in levels.values()
    assert report.dice()[0].patients == 6 and report.dice("other")[0].patients == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (CrossOptions(folds=9), "cannot be divided into 9 folds"),
        (CrossOptions(leave_out=parse_groups("A=nobody*")), "no case matches nobody"),
        (CrossOptions(leave_out=parse_groups("A=*")), "A holds every patient"),
        (CrossOptions(leave_out=parse_groups("A=*1,B=*")), "in the groups A and B"),
        (CrossOptions(folds=2, subsets=parse_subsets("T3")), "T3"),
    ],
)
def test_options_that_cannot_work_are_refused_at_once(
    people: Store,
    brief: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
    options: CrossOptions,
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        finish(cross_validate(people, tmp_path / "out", brief, cpu, options=options))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_from_a_run_it_transfers_and_leaves_out_whom_that_knows(
    brats_store: Store, trained: Run, brief: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    seen = trained.manifest.seen[:1]
    source = Run(trained.path, replace(trained.manifest, seen=seen))
    events: list[Event] = []
    recipe = cross_validate(
        brats_store, tmp_path / "out", brief, cpu, source=source, options=CrossOptions(folds=3)
    )
    report = finish(recipe, events.append)
    assert f"left out, since three was trained on them: {seen[0].name}" in notices(events)
    assert sum(report.measured.parts.values()) == 3 and report.measured.source == "three"
    assert report.calibration is None  # of three patients
    again = finish(
        cross_validate(
            brats_store, tmp_path / "out", brief, cpu, source=source, options=CrossOptions(folds=3)
        )
    )
    assert plain(again.measured) == plain(report.measured)
    frozen = TrainConfig.model_validate({**brief.model_dump(), "transfer": {"freeze": "none"}})
    with pytest.raises(ConfigError, match="name one with --from"):
        finish(cross_validate(brats_store, tmp_path / "x", frozen, cpu))
