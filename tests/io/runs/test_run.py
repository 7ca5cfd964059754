"""A run folder: what is saved is loaded to the bit, and what is none is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mriseg.core.identity import Identity
from mriseg.core.ops import PURE
from mriseg.core.sampling import CaseEntry
from mriseg.core.segnet import SegNet, SegNetConfig, build, init_weights_
from mriseg.errors import InputError, OutputError, RunError
from mriseg.io.runs import (
    FORMAT_VERSION,
    Checkpoint,
    Manifest,
    Run,
    create_run,
    fresh_path,
    newest_run,
    newest_unfinished_run,
    open_run,
)

MANIFEST = Manifest(
    config={"epochs": 3},
    model={"in_channels": 1, "classes": 2, "width": 8, "dropout": 0.0},
    modalities=("T1",),
    regions={"WT": (1, 2), "ET": (4,)},
    unit="mm",
    frame=(64, 96),
    incomplete=False,
    store="/data/out.zarr",
    train=("a", "b"),
    validation=("c",),
    seen=(Identity("a", "pa", "ca", (("T1", "AA=="),)), Identity("b", "pb")),
    versions={"mriseg": "0"},
    created="2026-01-01T00:00:00+00:00",
)


def a_model(memory_format: torch.memory_format = torch.contiguous_format) -> SegNet:
    config = SegNetConfig(in_channels=1, classes=2, width=8)
    model = init_weights_(build(config, PURE), torch.Generator().manual_seed(0))
    return model.to(memory_format=memory_format)  # type: ignore[call-overload,no-any-return]


def a_checkpoint(value: float = 1.0, **state: Any) -> Checkpoint:
    return Checkpoint({"w": torch.full((2, 3), value)}, {"w/step": torch.tensor(4.0)}, state)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(tmp_path / "run", MANIFEST)


def test_a_manifest_goes_through_its_file(run: Run) -> None:
    found = open_run(run.path)
    assert found == run
    assert found.manifest == MANIFEST
    assert list(found.manifest.regions) == ["WT", "ET"]


@pytest.mark.parametrize(
    ("varied", "axes"),
    [
        (None, ()),
        ({"flip": 0.5}, (3,)),
        ({"flip": 0.0, "vertical_flip": 0.1}, (2,)),
        ({"flip": 0.5, "vertical_flip": 0.5}, (2, 3)),
    ],
)
def test_a_run_knows_how_training_mirrored(
    varied: dict[str, float] | None, axes: tuple[int, ...]
) -> None:
    assert replace(MANIFEST, config={"augment": varied}).mirrored == axes


def test_a_checkpoint_goes_through_its_file(run: Run) -> None:
    assert not run.has("best") and run.chosen == "last"
    checkpoint = a_checkpoint(epoch=3, dice={"case": {"a": 0.5}})
    run.save("last", checkpoint)
    found = run.load("last")
    assert torch.equal(found.weights["w"], checkpoint.weights["w"])
    assert torch.equal(found.optimiser["w/step"], checkpoint.optimiser["w/step"])
    assert found.state == {"epoch": 3, "dice": {"case": {"a": 0.5}}}
    run.save("best", a_checkpoint(2.0))
    assert run.has("best") and run.chosen == "best"
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
    # Of another length each time.
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
                found = run.load("last")
                assert found.weights["w"].eq(found.state["number"]).all()
                met.add(found.state["number"])
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


def test_a_missing_or_damaged_checkpoint_is_told(run: Run) -> None:
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
    # A pickle can run code when it is loaded; this one would be found out.
    torch.save({"w": torch.zeros(1)}, run.path / "best.safetensors")
    with pytest.raises(RunError, match="damaged"):
        run.load("best")


def test_a_taken_folder_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="choose another folder"):
        create_run(run.path, MANIFEST)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose another folder"):
        create_run(tmp_path / "file", MANIFEST)
    (tmp_path / "empty").mkdir()
    assert create_run(tmp_path / "empty", MANIFEST).name == "empty"


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="mriseg train STORE"):
        open_run(tmp_path / "nothing")
    for number, text in enumerate(("", "{", "[]", "3", '{"format": "x"}', "\x00")):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "run.json").write_text(text)
        with pytest.raises(RunError, match="is not a run folder"):
            open_run(folder)
    with pytest.raises(RunError, match="is not a run folder"):
        open_run(tmp_path)


def edited(run: Run, **changes: Any) -> Path:
    data = json.loads((run.path / "run.json").read_text())
    data.update(changes)
    data = {key: value for key, value in data.items() if value != "gone"}
    (run.path / "run.json").write_text(json.dumps(data))
    return run.path


def test_another_version_is_refused(run: Run) -> None:
    path = edited(run, version=FORMAT_VERSION + 1)
    with pytest.raises(RunError, match=rf"format {FORMAT_VERSION + 1}.*reads {FORMAT_VERSION}"):
        open_run(path)


@pytest.mark.parametrize(
    "changes", [{"train": "gone"}, {"regions": 3}, {"surplus": 1}, {"seen": [3]}], ids=str
)
def test_a_damaged_manifest_is_told(run: Run, changes: dict[str, Any]) -> None:
    with pytest.raises(RunError, match=r"run\.json is damaged"):
        open_run(edited(run, **changes))


def test_the_log_is_rows_and_a_cut_line_is_left_out(run: Run) -> None:
    assert run.read_log() == []
    rows = [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    run.write_log(rows)
    assert run.read_log() == rows
    with run.log_path.open("a") as file:
        file.write('{"epoch": 3, "lo')
    assert run.read_log() == rows
    run.write_log(rows[:1])
    assert run.read_log() == rows[:1]


def test_a_trained_case_is_known_by_its_patient_or_its_voxels() -> None:
    def case(name: str, patient: str, content: str) -> CaseEntry:
        return CaseEntry(name, patient, (1, 1, 1), ("T1",), np.zeros((1, 1)), True, content)

    assert MANIFEST.trained_on(case("a", "pa", "other"))
    assert MANIFEST.trained_on(case("renamed", "x", "ca"))
    assert not MANIFEST.trained_on(case("a", "px", "other"))
    # "pa" was taken out of the name "a": another case of that patient is seen too ...
    assert MANIFEST.trained_on(case("new", "pa", ""))
    # ... but where a patient is called as the case is, other sets may number theirs alike.
    assert not MANIFEST.trained_on(case("pa", "pa", "other"))
    # An unknown content is no content that two share.
    assert not MANIFEST.trained_on(case("z", "z", ""))


def test_paths_of_new_runs_do_not_clash(tmp_path: Path) -> None:
    now = datetime(2026, 3, 4, 5, 6, 7)
    first = fresh_path(tmp_path, "out", now)
    assert first == tmp_path / "20260304-050607-out"
    assert first.is_dir()
    assert fresh_path(tmp_path, "out", now) == tmp_path / "20260304-050607-out-2"


def aged(tmp_path: Path, name: str, age: int) -> Run:
    run = create_run(tmp_path / name, MANIFEST)
    os.utime(run.path / "run.json", (1e9 - age, 1e9 - age))
    return run


def test_the_newest_run_is_found(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mriseg train STORE"):
        newest_run(tmp_path)
    old, new, bare = (aged(tmp_path, n, a) for n, a in (("z", 9), ("m", 5), ("a", 1)))
    old.save("last", a_checkpoint(ended=""))
    assert newest_run(tmp_path) == old.path
    new.save("best", a_checkpoint())
    assert newest_run(tmp_path) == new.path
    assert newest_unfinished_run(tmp_path) == old.path
    new.save("last", a_checkpoint(ended="all 3 epochs are done"))
    assert newest_unfinished_run(tmp_path) == old.path
    old.save("last", a_checkpoint(ended="the budget is spent"))
    assert open_run(old.path).ended == "the budget is spent"
    with pytest.raises(InputError, match="stopped before its end"):
        newest_unfinished_run(tmp_path)
    assert bare.path != newest_run(tmp_path)


def steps(model: SegNet, optimiser: torch.optim.Optimizer, count: int) -> None:
    image = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    for _ in range(count):
        optimiser.zero_grad()
        model(image).square().mean().backward()
        optimiser.step()
