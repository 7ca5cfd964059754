"""A checkpoint is loaded to the bit, is whole whenever it is read, and damage is reported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from mriseg.core.calibration import Calibration
from mriseg.errors import RunError
from mriseg.io.runs import Run, create_run
from mriseg.io.runs.checkpoint import read_digest
from tests.io.runs.examples import MANIFEST, a_checkpoint


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "run", MANIFEST)


def test_a_checkpoint_goes_through_its_file(run: Run) -> None:
    checkpoint = a_checkpoint(epoch=3, dice={"case": {"a": 0.5}})
    run.save("last", checkpoint)
    loaded = run.load("last")
    assert torch.equal(loaded.weights["w"], checkpoint.weights["w"])
    assert torch.equal(loaded.optimiser["w/step"], checkpoint.optimiser["w/step"])
    assert loaded.state == {"epoch": 3, "dice": {"case": {"a": 0.5}}}
    run.save("best", a_checkpoint(2.0))
    assert run.load().weights["w"].eq(2).all()


def test_a_checkpoint_replaces_the_one_before_even_while_it_is_read(run: Run) -> None:
    run.save("last", a_checkpoint(1.0))
    old = run.load("last")
    run.save("last", a_checkpoint(2.0))
    assert old.weights["w"].eq(1).all()
    assert run.load("last").weights["w"].eq(2).all()
    assert sorted(p.name for p in run.path.iterdir()) == ["last.safetensors", "run.json"]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a file in use is not replaced")
def test_a_checkpoint_that_is_replaced_again_and_again_is_of_one_step(run: Run) -> None:
    run.save("last", a_checkpoint(0.0, number=0))
    code = """
import sys, torch
from mriseg.io.runs import Checkpoint, open_run
run = open_run(sys.argv[1])
print("begun", flush=True)
value = 0
while True:
    value += 1
    weights = {"w": torch.full((2, 3), float(value))}
    # A different length each time.
    run.save("last", Checkpoint(weights, {}, {"number": value, "more": "x" * (value % 7 * 1000)}))
"""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(run.path)], stdout=subprocess.PIPE
    ) as training:
        assert training.stdout is not None
        training.stdout.readline()
        met = set()
        try:
            while training.poll() is None and len(met) < 100:
                loaded = run.load("last")
                assert loaded.weights["w"].eq(loaded.state["number"]).all()
                met.add(loaded.state["number"])
                run.ended  # noqa: B018
        finally:
            training.kill()
    assert len(met) == 100


@pytest.mark.skipif(os.name != "posix", reason="a limit on a file's size needs POSIX")
def test_a_full_disk_keeps_the_last_checkpoint(run: Run) -> None:
    run.save("last", a_checkpoint())
    code = """
import resource, sys, torch
from mriseg.errors import OutputError
from mriseg.io.runs import Checkpoint, open_run
run = open_run(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
try:
    run.save("last", Checkpoint({"w": torch.zeros(10000)}, {}, {}))
except OutputError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(run.path)], capture_output=True, text=True, check=False
    )
    assert "last.safetensors cannot be written" in done.stdout, done.stderr
    assert run.load("last").weights["w"].eq(1).all()
    assert sorted(p.name for p in run.path.iterdir()) == ["last.safetensors", "run.json"]


def test_a_missing_or_damaged_checkpoint_is_reported(run: Run) -> None:
    with pytest.raises(RunError, match=r"no best\.safetensors"):
        run.load()
    run.save("last", a_checkpoint())
    path = run.path / "last.safetensors"
    whole = path.read_bytes()
    for damaged in (b"", whole[:20], whole[:-4], b"\xff" * 200):
        path.write_bytes(damaged)
        with pytest.raises(RunError, match="damaged"):
            run.load("last")
    save_file({"w": torch.zeros(1)}, path, metadata={"state": "{"})
    with pytest.raises(RunError, match="damaged"):
        run.load("last")


def test_nothing_pickled_is_read(run: Run) -> None:
    # A pickle can run code when it is loaded.
    torch.save({"w": torch.zeros(1)}, run.path / "best.safetensors")
    with pytest.raises(RunError, match="damaged"):
        run.load("best")


def test_a_calibration_is_loaded_as_it_was_saved(run: Run) -> None:
    calibration = {"WT": Calibration(0.7, -1.3, 0.45, 0.1)}
    run.save("best", a_checkpoint(calibration=calibration, dice={"a": {"WT": None}}))
    assert run.load().state == {"calibration": calibration, "dice": {"a": {"WT": None}}}
    with safe_open(run.path / "best.safetensors", framework="pt") as file:
        state = json.loads(file.metadata()["state"])
    assert state["calibration"] == {
        "WT": {"scale": 0.7, "shift": -1.3, "threshold": 0.45, "min_component_share": 0.1}
    }


def test_a_state_of_the_wrong_form_is_never_written(run: Run) -> None:
    for state in ({"epoch": "one"}, {"calibration": {"WT": {"slope": 1.0}}}, {"ended": None}):
        with pytest.raises(ValueError, match=next(iter(state))):
            run.save("last", a_checkpoint(**state))
    assert not run.has("last")


def test_weights_without_a_digest_are_not_read(run: Run) -> None:
    path = run.path / "last.safetensors"
    save_file({"w": torch.zeros(1)}, path, metadata={"state": "{}"})
    with pytest.raises(RunError, match="damaged .its content does not match its digest"):
        run.load("last")


def test_its_digest_is_read_alone(run: Run) -> None:
    path = run.save("best", a_checkpoint())
    with safe_open(path, framework="pt") as file:
        assert read_digest(path) == json.loads(file.metadata()["state"])["digest"]
    save_file({"w": torch.zeros(1)}, path, metadata={"state": "{}"})
    with pytest.raises(RunError, match="has lost its digest"):
        read_digest(path)
