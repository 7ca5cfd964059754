from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from mriseg.backends import Backend
from mriseg.core.calibration import Calibration
from mriseg.errors import OutputError
from mriseg.io.runs import Run, open_run
from mriseg.recipes.keeper import Keeper, Position, trainer_state
from tests.engine.test_trainer import a_trainer, train


@pytest.fixture
def run(trained: Run, tmp_path: Path) -> Run:
    """A run's folder with nothing in it but what it is of."""
    path = tmp_path / "run"
    path.mkdir()
    (path / "run.json").write_bytes((trained.path / "run.json").read_bytes())
    return open_run(path)


def test_what_is_saved_is_what_a_training_resumes_from(run: Run, cpu: Backend) -> None:
    trainer, position = a_trainer(cpu), Position(epoch=1, step=2, seconds=5.0, best=0.5)
    train(trainer, 0, 2, 4)
    keeper = Keeper(run, position, every=10.0)
    keeper.save(trainer, position, ended="why")
    checkpoint = run.load("last")
    assert checkpoint.state == {"position": asdict(position), "ended": "why"}
    again = a_trainer(cpu)
    again.load(trainer_state(checkpoint, position), steps=2)
    for tensors, expected in (
        (again.state().weights, trainer.state().weights),
        (again.state().average, trainer.state().average),
        (again.state().optimiser, trainer.state().optimiser),
    ):
        assert all(torch.equal(tensors[name], tensor) for name, tensor in expected.items())
    assert not keeper.is_due(15.0) and keeper.is_due(15.1)
    keeper.check_space()


def test_the_best_network_comes_with_its_calibration(run: Run, cpu: Backend) -> None:
    keeper = Keeper(run, Position(), every=10.0)
    network = a_trainer(cpu).network(None)
    position = Position(epoch=3, step=9)
    keeper.save_best(network, position, {"a": {"WT": 0.5}}, {"WT": Calibration(threshold=0.25)})
    best = run.load("best")
    assert best.state["epoch"] == 3 and best.state["dice"] == {"a": {"WT": 0.5}}
    assert best.state["calibration"]["WT"] == Calibration(threshold=0.25) and not best.optimiser


def test_the_log_resumes_from_the_position(run: Run) -> None:
    keeper = Keeper(run, Position(), every=10.0)
    for epoch in (1, 2, 3):
        keeper.log({"epoch": epoch, "step": 10 * epoch, "loss": 0.1})
    again = Keeper(run, Position(epoch=2, step=20), every=10.0)
    again.log({"epoch": 3, "step": 30, "loss": 0.2})
    rows = [json.loads(line) for line in run.log_path.read_text().splitlines()]
    assert [row["loss"] for row in rows] == [0.1, 0.1, 0.2]
    assert len(list((run.path / "tensorboard").iterdir())) == 2


def test_a_full_disk_is_refused_at_once(
    run: Run, cpu: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, position = Keeper(run, Position(), every=10.0), Position()
    keeper.save(a_trainer(cpu), position)
    size = (run.path / "last.safetensors").stat().st_size

    def usage(_: Path) -> object:
        return type("Usage", (), {"free": 2 * size - 1})()

    monkeypatch.setattr("shutil.disk_usage", usage)
    with pytest.raises(OutputError, match="make room"):
        keeper.check_space()
