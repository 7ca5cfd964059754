"""Trackers are handed a training's events, each epoch once; and none of them stops a training."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.errors import DivergedError, UnknownNameError
from mriseg.events import Event, Measured, Notice, Recipe, Started, Wrote, finish
from mriseg.io.runs import Run, create_run, open_run
from mriseg.io.store import Store
from mriseg.io.trackers import TRACKERS, Ended, TrackedTraining
from mriseg.io.trackers.record import FILE, read_record
from mriseg.recipes.resume import resume
from mriseg.recipes.tracking import check_trackers, tracked
from mriseg.recipes.train import train


class Memory:
    """A tracker that remembers; it fails in the method that ``fails`` names."""

    name, summary = "memory", "this process"

    def __init__(self) -> None:
        self.fails = ""
        self.trainings: list[TrackedTraining] = []
        self.known: list[str | None] = []
        self.calls: list[tuple[Any, ...]] = []

    @property
    def id(self) -> str:
        return "one"

    def check(self) -> None: ...

    def _call(self, name: str, *given: Any) -> None:
        self.calls.append((name, *given))
        if self.fails == name:
            raise RuntimeError("the server is down\nTraceback: ...")

    def begin(self, training: TrackedTraining, known: str | None) -> Memory:
        self.trainings.append(training)
        self.known.append(known)
        self._call("begin")
        return self

    def epoch(self, epoch: int, numbers: Mapping[str, float]) -> None:
        self._call("epoch", epoch, dict(numbers))

    def artefact(self, path: Path) -> None:
        self._call("artefact", path.name)

    def close(self, ended: Ended, reason: str) -> None:
        self._call("close", ended, reason)

    def got(self, name: str) -> list[Any]:
        return [call[1] for call in self.calls if call[0] == name]


MEMORY = Memory()
OTHER = Memory()


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    module = ModuleType("a_package_of_trackers")
    module.__dict__.update(MEMORY=MEMORY, OTHER=OTHER)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    targets = {"memory": f"{module.__name__}:MEMORY", "other": f"{module.__name__}:OTHER"}
    monkeypatch.setattr(TRACKERS, "_targets", {**TRACKERS._targets, **targets})
    for each in (MEMORY, OTHER):
        each.__init__()  # type: ignore[misc]
    return MEMORY


def fake(run: Run, *epochs: int, error: BaseException | None = None) -> Recipe[str]:
    """The events of a training of ``run``."""
    yield Started(run.path)
    for epoch in epochs:
        yield Measured("epoch", epoch, {"loss": 1 / epoch, "step": 4.0 * epoch})
    if error is not None:
        raise error
    yield Wrote(run.path, "run")
    return "done"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of which no epoch is logged."""
    return create_run(tmp_path / "run", open_run("base").manifest)


def heard(recipe: Recipe[Any]) -> list[str]:
    events: list[Event] = []
    finish(recipe, events.append)
    return [event.text for event in events if isinstance(event, Notice)]


def test_each_epoch_comes_once_however_often_it_is_resumed(run: Run, memory: Memory) -> None:
    assert heard(tracked(fake(run, 1, 2), ["memory"])) == []
    assert memory.got("epoch") == [1, 2] and memory.known == [None]
    # Resumed without being all_of_it of a tracker, from a checkpoint before the second epoch.
    heard(tracked(fake(run, 2, 3)))
    assert memory.got("epoch") == [1, 2, 3] and memory.known == [None, "one"]
    # Killed after a checkpoint of the fourth, which is in the log.
    run.write_log([{"epoch": n, "step": n, "loss": 1.0, "dice": None} for n in (1, 2, 3, 4)])
    heard(tracked(fake(run, 5)))
    assert memory.got("epoch") == [1, 2, 3, 4, 5]
    [fourth] = [call for call in memory.calls if call[:2] == ("epoch", 4)]
    assert fourth[2] == {"step": 4, "loss": 1.0}


def test_a_tracker_that_is_added_later_gets_what_was(run: Run, memory: Memory) -> None:
    run.write_log([{"epoch": n, "step": n, "loss": 1.0} for n in (1, 2)])
    heard(tracked(fake(run, 3), ["memory", "memory"]))
    assert memory.got("epoch") == [1, 2, 3] and len(memory.trainings) == 1


@pytest.mark.parametrize("where", ["begin", "epoch", "artefact", "close"])
def test_one_that_fails_is_named_once_and_stops_nothing(
    run: Run, memory: Memory, where: str
) -> None:
    memory.fails = where
    (run.path / "curves.png").write_bytes(b"png")
    assert finish(tracked(fake(run), ["memory"])) == "done"
    memory.calls.clear()
    notices = heard(tracked(fake(run, 1, 2), ["memory", "other"]))
    [notice] = notices
    assert notice.startswith("the tracker memory failed and is not used any further")
    assert notice.endswith("RuntimeError: the server is down")
    assert OTHER.got("epoch") == [1, 2] and OTHER.got("close") == [Ended.DONE]
    # What it missed it gets later.
    memory.fails = ""
    heard(tracked(fake(run, 3), ["memory"]))
    assert memory.got("epoch")[-1] == 3


@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (KeyboardInterrupt(), Ended.STOPPED),
        (DivergedError("the loss became nan"), Ended.FAILED),
        (ZeroDivisionError(), Ended.FAILED),
    ],
)
def test_however_it_ends_the_tracker_is_told(
    run: Run, memory: Memory, error: BaseException, ended: Ended
) -> None:
    with pytest.raises(type(error)):
        finish(tracked(fake(run, 1, error=error), ["memory"]))
    assert memory.got("close") == [ended]


def test_a_recipe_that_is_closed_was_stopped(run: Run, memory: Memory) -> None:
    recipe = tracked(fake(run, 1, 2), ["memory"])
    next(recipe)
    next(recipe)
    recipe.close()
    assert memory.got("close") == [Ended.STOPPED]


def test_names_are_checked_before_anything_else(memory: Memory) -> None:
    check_trackers(["memory", "other"])
    with pytest.raises(UnknownNameError, match="there is no tracker 'mlfow'; known: .*mlflow"):
        check_trackers(["memory", "mlfow"])


def test_a_damaged_record_is_said_and_the_training_goes_on(run: Run, memory: Memory) -> None:
    (run.path / FILE).write_text("{")
    notices = heard(tracked(fake(run, 1), ["memory"]))
    assert len(notices) == 1 and "trackers.json is damaged" in notices[0]
    assert memory.got("epoch") == [1]


def test_without_a_tracker_nothing_is_written(run: Run, memory: Memory) -> None:
    before = sorted(run.path.iterdir())
    assert heard(tracked(fake(run, 1))) == [] and sorted(run.path.iterdir()) == before


def test_a_real_training_that_is_stopped_and_resumed(
    brats_store: Store, short: TrainConfig, cpu: Backend, memory: Memory, tmp_path: Path
) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, Measured):
            raise KeyboardInterrupt

    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        finish(tracked(train(brats_store, short, cpu, out=out), ["memory"]), stop)
    assert memory.got("close") == [Ended.STOPPED]
    finish(tracked(resume(open_run(out), cpu)))
    run = open_run(out)
    assert memory.known == [None, "one"] and memory.got("epoch") == [1, 2]
    rows = {row["epoch"]: row for row in run.read_log()}
    for _, epoch, numbers in (call for call in memory.calls if call[0] == "epoch"):
        assert numbers == {k: v for k, v in rows[epoch].items() if k != "epoch" and v is not None}
    assert memory.got("artefact") == ["curves.png"]
    assert memory.calls[-1] == ("close", Ended.DONE, "all 2 epochs are done")
    assert read_record(out)["memory"].epoch == 2
    # No name of a case or a patient, and no path.
    all_of_it = repr(memory.trainings) + repr(memory.calls)
    for name in (*run.manifest.train, *run.manifest.validation, str(tmp_path), run.manifest.store):
        assert name not in all_of_it
    assert memory.trainings[0].settings["width"] == short.width
