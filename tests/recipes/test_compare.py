"""A comparison is fair, measures on patients that chose nothing, and can be resumed."""

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
from mriseg.errors import ConfigError, InputError, OutputError
from mriseg.events import Advanced, Began, Event, Measured, Notice, finish
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.compare import CompareOptions, CompareReport, compare
from mriseg.recipes.preprocess import preprocess
from mriseg.testing import phantoms

OPTIONS = CompareOptions(("lp-ft", "frozen-random"), ("1", "all"), folds=2)
TRAININGS = 3 * 2 * 2


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Another task, of four other people: one modality, two classes."""
    root = tmp_path_factory.mktemp("target")
    phantoms.write_nnunet(root / "src", 4, seed=50, shape=(8, 32, 32), style="msd")
    finish(preprocess(root / "src", root / "out.zarr", regions="core,oedema", workers=1))
    return open_store(root / "out.zarr")


@pytest.fixture(scope="module")
def brief(tiny: TrainConfig) -> TrainConfig:
    """A training of two steps."""
    return tiny.model_copy(update={"epochs": 1, "slices_per_epoch": 8})


@pytest.fixture(scope="module")
def done(
    target: Store,
    trained: Run,
    brief: TrainConfig,
    cpu: Backend,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[CompareReport, list[Event]]:
    """A complete comparison, not written to disk, and its events."""
    out = tmp_path_factory.mktemp("compared") / "out"
    events: list[Event] = []
    recipe = compare(target, trained, brief, cpu, OPTIONS, out=out)
    return finish(recipe, events.append), events


def each_run(report: CompareReport) -> list[Run]:
    return [open_run(path.parent) for path in sorted(report.path.glob("runs/**/run.json"))]


def without_times(path: Path) -> Any:
    """The numbers in a file, but for the seconds that they took."""
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return [{k: v for k, v in r.items() if k != "seconds"} for r in csv.DictReader(file)]
    data = json.loads(path.read_text())
    for cell in data["cells"]:
        del cell["seconds"]
    return data


def test_methods_share_patients_seed_and_budget(done: tuple[CompareReport, list[Event]]) -> None:
    report, _ = done
    runs = each_run(report)
    assert len(runs) == TRAININGS
    by_place: dict[Path, list[Run]] = {}
    for run in runs:
        by_place.setdefault(run.path.parent, []).append(run)
    for side in by_place.values():
        assert [run.name for run in side] == ["frozen-random", "lp-ft", "scratch"]
        assert len({run.manifest.train for run in side}) == 1
        configs = [{**run.manifest.config, "transfer": None} for run in side]
        assert all(config == configs[0] for config in configs)
    policies = {run.name: run.manifest.config["transfer"] for run in runs}
    assert policies["scratch"] is None and policies["lp-ft"]["schedule"] == "lp-ft"
    parents = {run.name: run.manifest.parent or {} for run in runs}
    assert not parents["scratch"] and parents["frozen-random"]["weights"] == "random"


def test_the_patients_that_are_measured_chose_nothing(
    done: tuple[CompareReport, list[Event]], target: Store
) -> None:
    report, _ = done
    for run in each_run(report):
        rows = json.loads((run.path / "result.json").read_text())["cases"]
        held = {row["case"] for row in rows}
        assert held and not held & set(run.manifest.train)
        assert run.manifest.validation == () and not any("dice" in r for r in run.read_log())
        assert held <= set(run.manifest.config["exclude"])
    # Each patient is measured once for each method and size.
    for size in ("1", "all"):
        for method in ("scratch", "lp-ft"):
            cases = [s.case for s in report.scores if (s.size, s.method) == (size, method)]
            assert sorted(cases) == sorted(target.cases())


def test_smaller_training_sets_are_within_larger_ones(
    done: tuple[CompareReport, list[Event]],
) -> None:
    report, _ = done
    for fold in (1, 2):
        place = f"seed-0/fold-{fold}/scratch"
        few, every = (
            set(open_run(report.path / "runs" / f"patients-{size}" / place).manifest.train)
            for size in ("1", "all")
        )
        assert len(few) == 1 and few < every and len(every) == 2


def test_what_it_writes_and_reports(done: tuple[CompareReport, list[Event]]) -> None:
    report, events = done
    names = {path.name for path in report.path.iterdir()}
    assert names == {
        "plan.json",
        "runs",
        "compare.json",
        "compare.csv",
        "compare.png",
        "report.html",
    }
    data = json.loads((report.path / "compare.json").read_text())
    assert (data["format"], data["version"]) == ("mriseg-compare", 1)
    assert len(data["cells"]) == 6 and len(data["contrasts"]) == 4
    assert set(data["verdicts"]) == {"1", "all"}
    with (report.path / "compare.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(report.scores) == 3 * 2 * 4
    assert {"dice", "dice_core", "dice_oedema"} <= set(rows[0])

    text = " ".join(event.text for event in events if isinstance(event, Notice))
    assert "12 trainings (3 methods x 2 sizes x 2 folds x 1 seeds) on 4 patients" in text
    [began] = [event for event in events if isinstance(event, Began)]
    assert (began.stage, began.total, began.unit) == ("compare", TRAININGS, "training")
    done_so_far = [event.done for event in events if isinstance(event, Advanced)]
    assert done_so_far == sorted(done_so_far) and done_so_far[-1] == TRAININGS
    lines = [event for event in events if isinstance(event, Measured)]
    assert [event.step for event in lines] == list(range(1, TRAININGS + 1))
    assert lines[0].note == "1 of 12: scratch from 1 patients, seed 0, fold 1"


def test_runs_keep_the_weights_and_not_the_optimiser(
    done: tuple[CompareReport, list[Event]],
) -> None:
    for run in each_run(done[0]):
        assert run.ended and run.has("best") and not run.load("last").optimiser


def test_stopped_anywhere_it_resumes_to_the_same_result(
    done: tuple[CompareReport, list[Event]],
    target: Store,
    trained: Run,
    brief: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
) -> None:
    report, _ = done
    out = tmp_path / "out"
    shutil.copytree(report.path, out)
    for name in ("compare.json", "compare.csv", "compare.png"):
        (out / name).unlink()
    kept = (out / "runs/patients-1/seed-0/fold-1/scratch/result.json").read_bytes()
    # Stopped before its first checkpoint, before it was measured, before it began,
    place = out / "runs/patients-all/seed-0/fold-2"
    for path in (place / "lp-ft").iterdir():
        if path.name != "run.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (place / "scratch/result.json").unlink()
    shutil.rmtree(place / "frozen-random")
    # and in the middle.
    stopped = compare(target, trained, brief, cpu, OPTIONS, out=out)
    for _ in stopped:
        if (place / "frozen-random/last.safetensors").exists():
            stopped.close()
    assert not (place / "frozen-random/result.json").exists()

    events: list[Event] = []
    again = finish(compare(target, trained, brief, cpu, OPTIONS, out=out), events.append)
    assert again.comparison.verdicts == report.comparison.verdicts
    for name in ("compare.json", "compare.csv"):
        assert without_times(out / name) == without_times(report.path / name)
    assert (out / "compare.png").read_bytes() == (report.path / "compare.png").read_bytes()
    assert (out / "runs/patients-1/seed-0/fold-1/scratch/result.json").read_bytes() == kept
    assert len([event for event in events if isinstance(event, Measured)]) < 4


def test_what_is_done_may_be_added_to_and_not_changed(
    done: tuple[CompareReport, list[Event]],
    target: Store,
    trained: Run,
    brief: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    shutil.copytree(done[0].path, out)
    other = brief.model_copy(update={"epochs": 2})
    with pytest.raises(ConfigError, match=r"other epochs \(1 before, 2 now\); use the same"):
        finish(compare(target, trained, other, cpu, OPTIONS, out=out))
    with pytest.raises(ConfigError, match="other folds"):
        finish(compare(target, trained, brief, cpu, CompareOptions(folds=4), out=out))
    more = CompareOptions(("full",), ("all",), folds=2)
    events: list[Event] = []
    report = finish(compare(target, trained, brief, cpu, more, out=out), events.append)
    assert [cell.method for cell in report.comparison.cells] == ["scratch", "full"]
    assert len([event for event in events if isinstance(event, Measured)]) == 2

    result = out / "runs/patients-all/seed-0/fold-1/full/result.json"
    result.write_text(result.read_text().replace("phantom_00", "phantom_10"))
    with pytest.raises(InputError, match="held out; start again in another"):
        finish(compare(target, trained, brief, cpu, more, out=out))
    result.write_text("{")
    with pytest.raises(InputError, match="damaged"):
        finish(compare(target, trained, brief, cpu, more, out=out))


def test_patients_that_the_source_knows_are_left_out(
    brats_store: Store, trained: Run, brief: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    # Three of four trained the source, so nobody is left to compare on.
    with pytest.raises(ConfigError, match="trained on 3 of the store's 4 patients"):
        finish(compare(brats_store, trained, brief, cpu, OPTIONS, out=tmp_path / "out"))
    seen = trained.manifest.seen[:2]
    source = Run(trained.path, replace(trained.manifest, seen=seen))
    events: list[Event] = []
    options = CompareOptions(("full",), ("all",), folds=2)
    finish(compare(brats_store, source, brief, cpu, options, out=tmp_path / "out"), events.append)
    [text] = [e.text for e in events if isinstance(e, Notice) and "left out" in e.text]
    names = {item.name for item in seen}
    assert all(name in text for name in names)
    for path in (tmp_path / "out").glob("runs/**/result.json"):
        assert not any(name in path.read_text() for name in names)
        assert not names & set(open_run(path.parent).manifest.train)


def test_a_budget_states_the_total_time(
    target: Store, trained: Run, brief: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    config = brief.model_copy(update={"epochs": None, "budget": 1200.0})
    recipe = compare(target, trained, config, cpu, OPTIONS, out=tmp_path / "out")
    events: list[Event] = []
    for event in recipe:
        events.append(event)
        if isinstance(event, Began):
            recipe.close()
    assert events[-1] == Began("compare", 12 * 1200, "second")
    assert any("20 min each: 4.0 h" in event.text for event in events if isinstance(event, Notice))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (CompareOptions(("fulll",)), "there is no fulll; known: scratch"),
        (CompareOptions(("scratch",)), "at least one to compare with scratch"),
        (CompareOptions(sizes=("3",), folds=2), "3 patients cannot train where a fold leaves 2"),
        (CompareOptions(sizes=("few",), folds=2), "'few' is neither a number"),
        (CompareOptions(sizes=(), folds=2), "name at least one"),
        (CompareOptions(folds=1), "cannot be divided into 1 folds: choose from 2 to 4"),
        (CompareOptions(folds=5), "cannot be divided into 5 folds: choose from 2 to 4"),
        (CompareOptions(seeds=0, folds=2), "seeds = 0"),
        (CompareOptions(("first-block",), folds=2), "core, oedema would be new"),
    ],
)
def test_options_that_cannot_work_are_refused_at_once(
    target: Store,
    trained: Run,
    brief: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
    options: CompareOptions,
    message: str,
) -> None:
    with pytest.raises(ConfigError, match=message):
        finish(compare(target, trained, brief, cpu, options, out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_settings_that_cannot_work_are_refused_at_once(
    target: Store, trained: Run, brief: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    for update, message in (
        ({"width": 16}, "width 8 and the target 16"),
        ({"encoder_weights": "imagenet"}, "--encoder-weights"),
        ({"transfer": {"freeze": "none"}}, "how it transfers"),
    ):
        config = TrainConfig.model_validate({**brief.model_dump(), **update})
        with pytest.raises(ConfigError, match=message):
            finish(compare(target, trained, config, cpu, OPTIONS, out=tmp_path / "out"))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/thesis.txt").write_text("")
    with pytest.raises(OutputError, match="is not a comparison"):
        finish(compare(target, trained, brief, cpu, OPTIONS, out=tmp_path / "taken"))


def test_both_sides_read_what_the_source_reads(
    brats_store: Store, trained: Run, brief: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    reads = ("FLAIR", "T1CE", "T2")
    source = Run(trained.path, replace(trained.manifest, modalities=reads, seen=()))
    default = brief.model_copy(update={"modalities": None})
    out = tmp_path / "out"
    recipe = compare(brats_store, source, default, cpu, OPTIONS, out=out)
    first = next(recipe)
    recipe.close()
    assert json.loads((out / "plan.json").read_text())["config"]["modalities"] == list(reads)
    assert isinstance(first, Notice) and "T1, which the store has, is not used" in first.text
