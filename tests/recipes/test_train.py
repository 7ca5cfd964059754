"""Training: what it writes, when it ends, and that a stopped one goes on to the bit."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.core.prepare import PreparedCase
from mriseg.errors import ConfigError, InputError, OutputError, RunError
from mriseg.events import Advanced, Began, Event, Measured, Notice, Wrote, finish
from mriseg.io.disk.checksums import write_sealed_json
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.load import load_model
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.train import resume, train, train_or_resume
from mriseg.testing import phantoms
from tests import vgg
from tests.trainings import changed, numbers, run_training, weights_equal


@pytest.fixture(scope="session")
def whole(
    brats_store: Store, short: TrainConfig, cpu: Backend, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """A training of ``short`` that was never stopped."""
    path = tmp_path_factory.mktemp("whole") / "run"
    run_training(brats_store, short, cpu, path)
    return open_run(path)


# What it writes


def test_a_training_writes_its_run(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    events: list[Event] = []
    config = changed(tiny, epochs=3, regions=["WT"])
    report = run_training(brats_store, config, cpu, tmp_path / "run", events.append)
    assert report.run == tmp_path / "run" and report.epochs == 3
    assert report.reason == "all 3 epochs are done" and report.seconds > 0

    run = open_run(tmp_path / "run")
    manifest = run.manifest
    assert TrainConfig.model_validate(manifest.config) == config
    assert manifest.modalities == ("T1", "T2", "FLAIR") and list(manifest.regions) == ["WT"]
    assert Path(manifest.store).is_absolute() and manifest.unit == "mm"
    assert {"mriseg", "torch", "python"} <= set(manifest.versions)
    # No patient on both sides, and all of those that trained are remembered.
    assert set(manifest.train).isdisjoint(manifest.validation)
    assert len(manifest.train) == 3 and len(manifest.validation) == 1
    assert sorted(case.name for case in manifest.seen) == sorted(manifest.train)

    rows = run.read_log()
    assert [row["epoch"] for row in rows] == [1, 2, 3]
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    assert rows[-1]["dice"] == rows[-1]["dice_WT"]
    assert report.best == max(row["dice"] for row in rows)
    assert rows[report.best_epoch - 1]["dice"] == report.best
    assert report.dice == {manifest.validation[0]: {"WT": pytest.approx(report.best)}}

    best, last = run.load("best"), run.load("last")
    assert best.state["epoch"] == report.best_epoch and not best.optimiser
    assert last.state["ended"] == report.reason and last.optimiser
    assert last.state["position"]["step"] == rows[-1]["step"]
    assert set(load_model(run, cpu).state_dict()) == set(best.weights)

    images = sorted((run.path / "images").iterdir())
    assert [p.name for p in images] == [
        f"image_{row['epoch']:04d}_{row['step']:06d}.png" for row in rows
    ]
    with Image.open(images[-1]) as picture:
        assert picture.width > 100 and picture.height > 30
    board = EventAccumulator(str(run.path / "tensorboard")).Reload()
    assert [e.step for e in board.Scalars("loss")] == [row["step"] for row in rows]
    assert [e.value for e in board.Scalars("dice")] == pytest.approx([r["dice"] for r in rows])
    assert {p.name for p in run.path.iterdir()} == {
        "run.json", "best.safetensors", "last.safetensors", "log.jsonl", "curves.png",
        "tensorboard", "images", "report.html", "certainty.json",
    }  # fmt: skip
    with Image.open(run.curves_path) as picture:
        assert picture.format == "PNG"

    (began,) = (e for e in events if isinstance(e, Began))
    assert (began.total, began.unit) == (rows[-1]["step"], "step")
    assert [e.done for e in events if isinstance(e, Advanced)][-1] == began.total
    assert [e.step for e in events if isinstance(e, Measured)] == [1, 2, 3]
    assert Wrote(run.path, "run") in events
    # The validation case is not among the slices that were trained on.
    assert any("3 cases train, 1 validates" in e.text for e in events if isinstance(e, Notice))


def test_it_learns_to_find_the_tumour(trained: Run) -> None:
    rows = trained.read_log()
    assert max(row["dice_WT"] for row in rows) > 0.5
    assert set(trained.load("best").state["dice"]) == set(trained.manifest.validation)


@pytest.mark.slow
def test_a_training_is_a_function_of_its_seed(
    brats_store: Store, short: TrainConfig, cpu: Backend, whole: Run, tmp_path: Path
) -> None:
    run_training(brats_store, short, cpu, tmp_path / "again")
    assert weights_equal(open_run(tmp_path / "again"), whole)
    run_training(brats_store, changed(short, seed=1), cpu, tmp_path / "other")
    assert not weights_equal(open_run(tmp_path / "other"), whole)


def test_a_relative_store_is_found_from_elsewhere(
    brats_store: Store,
    short: TrainConfig,
    cpu: Backend,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(brats_store.location, tmp_path / "s.zarr")
    monkeypatch.chdir(tmp_path)
    stop(train(open_store("s.zarr"), short, cpu, out=Path("run")), after=3)
    monkeypatch.chdir(tmp_path.parent)
    assert finish(resume(open_run(tmp_path / "run"), cpu)).epochs == 2


# When it ends


def test_a_taken_folder_is_refused(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, whole: Run
) -> None:
    with pytest.raises(OutputError, match="choose another folder"):
        run_training(brats_store, tiny, cpu, whole.path)


# Choices


def test_encoder_weights_are_the_start(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    state = vgg.vgg16_bn_state()
    save_file(state, tmp_path / "vgg.safetensors")
    config = changed(tiny, encoder_weights=str(tmp_path / "vgg.safetensors"), width=64)
    for event in (recipe := train(brats_store, config, cpu, out=tmp_path / "run")):
        if isinstance(event, Began):
            recipe.close()
    weights = open_run(tmp_path / "run").load("last").weights
    assert torch.equal(weights["encoder.3.1.conv.weight"], state["features.17.weight"])
    assert torch.equal(weights["encoder.5.2.norm.running_var"], state["features.41.running_var"])
    with pytest.raises(ConfigError, match="width 64"):
        run_training(brats_store, changed(config, width=8), cpu, tmp_path / "narrow")


# A loss that is not a number


def stop(recipe: Any, after: int) -> None:
    """Run a recipe up to an event and abandon it there."""
    for count, _ in enumerate(recipe, start=1):
        if count == after:
            recipe.close()
            return


def test_a_stopped_training_resumes_bit_for_bit(
    brats_store: Store, short: TrainConfig, cpu: Backend, whole: Run, tmp_path: Path
) -> None:
    often = changed(short, checkpoint_every=1e-9)
    events = len(list(train(brats_store, often, cpu, out=tmp_path / "count")))
    assert weights_equal(open_run(tmp_path / "count"), whole)
    for after in range(2, events, max(3, events // 5)):
        path = tmp_path / f"stopped-{after}"
        stop(train(brats_store, often, cpu, out=path), after)
        if open_run(path).ended:
            continue
        # And once more on the way.
        stop(resume(open_run(path), cpu), 4)
        if not open_run(path).ended:
            finish(resume(open_run(path), cpu))
        run = open_run(path)
        for which in ("last", "best"):
            assert weights_equal(run, whole, which), (after, which)
        assert numbers(run) == numbers(whole)
        best = run.load("last").state["position"], whole.load("last").state["position"]
        timed = dict.fromkeys(("seconds", "paused", "ending"), 0)
        assert best[0] | timed == best[1] | timed


def test_the_same_call_begins_goes_on_and_leaves_what_has_ended(
    brats_store: Store, short: TrainConfig, cpu: Backend, whole: Run, tmp_path: Path
) -> None:
    often, path = changed(short, checkpoint_every=1e-9), tmp_path / "run"
    stop(train_or_resume(brats_store, often, cpu, out=path), 12)
    assert not open_run(path).ended
    with pytest.raises(ConfigError, match="seed = 0, now 5.*another --out"):
        finish(train_or_resume(brats_store, changed(short, seed=5), cpu, out=path))
    # How often it is saved decides nothing, so that it may change.
    report = finish(train_or_resume(brats_store, short, cpu, out=path))
    run = open_run(path)
    assert weights_equal(run, whole) and weights_equal(run, whole, "best")
    files = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    events: list[Event] = []
    again = finish(train_or_resume(brats_store, short, cpu, out=path), events.append)
    assert again == report and again.reason
    assert [type(event) for event in events] == [Notice]
    assert files == {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}


class _Interrupted(Store):
    """A store at whose first validation somebody presses Ctrl-C."""

    def read_case(self, name: str) -> PreparedCase:
        raise KeyboardInterrupt


def test_a_training_stopped_while_it_validates_resumes_bit_for_bit(
    brats_store: Store, short: TrainConfig, cpu: Backend, whole: Run, tmp_path: Path
) -> None:
    often = changed(short, checkpoint_every=1e-9)
    store = _Interrupted(brats_store.location, brats_store.spec)
    with pytest.raises(KeyboardInterrupt):
        run_training(store, often, cpu, tmp_path / "run")
    # All of the epoch's steps are done, none is to be done again.
    assert open_run(tmp_path / "run").load("last").state["position"]["batch"] == 12
    finish(resume(open_run(tmp_path / "run"), cpu))
    run = open_run(tmp_path / "run")
    assert weights_equal(run, whole) and weights_equal(run, whole, "best")
    assert numbers(run) == numbers(whole)


SCRIPT = """
import sys
from pathlib import Path
from mriseg.backends import select
from mriseg.core.config import TrainConfig
from mriseg.io.disk.checksums import write_sealed_json
from mriseg.io.runs import open_run
from mriseg.io.store import open_store
from mriseg.recipes.train import resume, train
store, path, config = sys.argv[1:]
cpu = select("cpu", precision="fp32")
if (Path(path) / "last.safetensors").exists():
    recipe = resume(open_run(path), cpu)
else:
    config = TrainConfig.model_validate_json(config)
    recipe = train(open_store(store), config, cpu, out=Path(path))
for event in recipe:
    print(type(event).__name__, flush=True)
"""


def kill_until_done(
    store: Store, config: TrainConfig, path: Path, script: Path, kills: int, seed: int
) -> int:
    """Start, kill and start again; the number of kills that met a training under way."""
    script.write_text(SCRIPT)
    chance = random.Random(seed)
    command = [sys.executable, script, store.location, path, config.model_dump_json()]
    met = 0
    for attempt in range(kills + 1):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        if attempt < kills:
            for _ in range(chance.randint(2, 4)):
                process.stdout.readline()
            try:
                process.wait(chance.uniform(0, 0.3))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                met += 1
        process.communicate()
        # Whatever the moment, what is there is whole.
        run = open_run(path)
        for which in ("last", "best"):
            if run.has(which):
                run.load(which)
        if run.has("last") and run.ended:
            break
    return met


# Killed twice, as a command, it is tried in every run: tests/reliability/test_kill.py.
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_a_training_killed_often_resumes_bit_for_bit(
    brats_store: Store, short: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    config = changed(short, checkpoint_every=1e-9, epochs=8)
    met = kill_until_done(
        brats_store, config, tmp_path / "run", tmp_path / "main.py", kills=12, seed=7
    )
    assert met >= 2
    run_training(brats_store, config, cpu, tmp_path / "whole")
    run, expected = open_run(tmp_path / "run"), open_run(tmp_path / "whole")
    assert run.ended == expected.ended == "all 8 epochs are done"
    assert weights_equal(run, expected) and weights_equal(run, expected, "best")
    assert numbers(run) == numbers(expected)


def test_a_finished_run_is_not_resumed(whole: Run, cpu: Backend) -> None:
    with pytest.raises(RunError, match=r"has ended \(all 2 epochs are done\).*--from"):
        finish(resume(whole, cpu))


def test_a_run_without_a_checkpoint_is_refused(whole: Run, cpu: Backend, tmp_path: Path) -> None:
    shutil.copy(whole.path / "run.json", tmp_path)
    with pytest.raises(RunError, match="before its first checkpoint"):
        finish(resume(open_run(tmp_path), cpu))


@pytest.mark.slow
def test_cases_that_came_since_change_nothing(
    brats_store: Store, short: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    phantoms.write_brats(tmp_path / "src", 3, modalities=("t1", "flair"))
    out = tmp_path / "out.zarr"
    finish(preprocess(tmp_path / "src", out, workers=1))
    config = changed(short, modalities=None)
    run_training(open_store(out), config, cpu, tmp_path / "whole")
    stop(train(open_store(out), config, cpu, out=tmp_path / "run"), 4)
    # Now there is T2, which is among the channels that are taken when none are named.
    phantoms.write_brats(tmp_path / "more", 3, seed=8, names="2023")
    finish(preprocess(tmp_path / "more", out, workers=1))
    finish(resume(open_run(tmp_path / "run"), cpu))
    run, expected = open_run(tmp_path / "run"), open_run(tmp_path / "whole")
    assert run.manifest.modalities == ("T1", "FLAIR")
    assert (
        run.load("last").state["position"]["step"]
        == expected.load("last").state["position"]["step"]
    )


def test_a_store_that_lost_a_case_is_refused(
    brats_store: Store, short: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.zarr"
    shutil.copytree(brats_store.location, copy)
    stop(train(open_store(copy), short, cpu, out=tmp_path / "run"), 4)
    gone = open_run(tmp_path / "run").manifest.train[0]
    shutil.rmtree(copy / "cases" / gone)
    with pytest.raises(InputError, match=gone):
        finish(resume(open_run(tmp_path / "run"), cpu))
    # Where the store moved to can be said.
    finish(resume(open_run(tmp_path / "run"), cpu, store=brats_store))


def test_weights_of_another_network_are_refused(whole: Run, cpu: Backend, tmp_path: Path) -> None:
    shutil.copytree(whole.path, tmp_path / "run")
    data = json.loads((tmp_path / "run" / "run.json").read_text())
    data["model"]["width"] = 16
    del data["digest"]
    write_sealed_json(tmp_path / "run" / "run.json", data)
    with pytest.raises(RunError, match="do not fit its network"):
        load_model(open_run(tmp_path / "run"), cpu)
