"""A training that was stopped continues as if it had not been."""

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

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.core.prepare import PreparedCase
from mriseg.errors import ConfigError, InputError, RunError
from mriseg.events import Event, Notice, finish
from mriseg.io.disk.checksums import write_sealed_json
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.load import load_model
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.resume import resume, train_or_resume
from mriseg.recipes.train import train
from mriseg.testing import phantoms
from tests.trainings import changed, numbers, run_training, weights_equal


def stop(recipe: Any, after: int) -> None:
    """Run a recipe up to an event and abandon it there."""
    for count, _ in enumerate(recipe, start=1):
        if count == after:
            recipe.close()
            return


@pytest.mark.parametrize("stops", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_a_stopped_training_resumes_bit_for_bit(
    stops: int, brats_store: Store, short: TrainConfig, cpu: Backend, whole: Run, tmp_path: Path
) -> None:
    often = changed(short, checkpoint_every=1e-9)
    events = len(list(train(brats_store, often, cpu, out=tmp_path / "count")))
    assert weights_equal(open_run(tmp_path / "count"), whole)
    for after in range(2, events, max(3, events // stops)):
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
from mriseg.recipes.resume import resume
from mriseg.recipes.train import train
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
