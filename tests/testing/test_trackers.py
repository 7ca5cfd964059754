"""The suite for trackers refuses a tracker that breaks what it promises."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from mriseg.io.trackers import Ended, TrackedTraining
from mriseg.testing import Tracked, TrackerContract


class Tracking:
    """A training in memory."""

    def __init__(self, id: str, settings: Mapping[str, str]) -> None:
        self.id, self.settings, self.running = id, settings, True
        self.epochs: dict[int, Mapping[str, float]] = {}
        self.files: set[str] = set()

    def epoch(self, epoch: int, numbers: Mapping[str, float]) -> None:
        self.epochs[epoch] = numbers

    def artefact(self, path: Path) -> None:
        self.files.add(path.name)

    def close(self, ended: Ended, reason: str) -> None:
        self.running = False


class Tracker:
    """A right one."""

    name, summary = "right", "this process"

    def __init__(self) -> None:
        self.kept: dict[str, Tracking] = {}

    def check(self) -> None: ...

    def begin(self, training: TrackedTraining, known: str | None) -> Tracking:
        if known is None:
            settings = {name: str(value) for name, value in training.settings.items()}
            known = str(len(self.kept))
            self.kept[known] = Tracking(known, settings)
        self.kept[known].running = True
        return self.kept[known]


class StartsAnew(Tracker):
    """Begins another training where one goes on."""

    def begin(self, training: TrackedTraining, known: str | None) -> Tracking:
        return super().begin(training, None)


class Mixes(Tracker):
    """Takes trainings of one name for one."""

    def begin(self, training: TrackedTraining, known: str | None) -> Tracking:
        return super().begin(training, known or next(iter(self.kept), None))


class Forgets(Tracking):
    """Keeps only the last epoch, never ends, and keeps no file."""

    def epoch(self, epoch: int, numbers: Mapping[str, float]) -> None:
        self.epochs = {epoch: numbers}

    def artefact(self, path: Path) -> None: ...

    def close(self, ended: Ended, reason: str) -> None: ...


class Forgetful(Tracker):
    def begin(self, training: TrackedTraining, known: str | None) -> Tracking:
        opened = super().begin(training, known)
        opened.__class__ = Forgets
        return opened


class Suite(TrackerContract):
    """Not collected by pytest: its tests are called one by one."""

    __test__ = False

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker

    def tracked(self, id: str) -> Tracked:
        kept = self.tracker.kept[id]  # type: ignore[attr-defined]
        return Tracked(kept.settings, kept.epochs, frozenset(kept.files), kept.running)


TESTS = sorted(name for name in vars(TrackerContract) if name.startswith("test_"))


def failures(tracker: Tracker, tmp_path: Path) -> set[str]:
    """The tests of the suite that a tracker fails."""
    failed = set()
    for name in TESTS:
        given = {
            "test_a_file_is_kept": (tmp_path,),
            "test_an_end_is_one": (Ended.FAILED,),
        }.get(name, ())
        suite = Suite(tracker)
        tracker.kept.clear()
        try:
            getattr(suite, name)(*given)
        except (AssertionError, KeyError, pytest.fail.Exception):
            failed.add(name)
    return failed


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Tracker, set()),
        (StartsAnew, {"goes_on", "does_not_have"}),
        (Mixes, {"two_trainings"}),
        (Forgetful, {"settings_and_numbers", "goes_on", "file_is_kept", "end_is_one"}),
    ],
)
def test_what_is_wrong_is_found(kind: type[Tracker], expected: set[str], tmp_path: Path) -> None:
    failed = failures(kind(), tmp_path) - {"test_it_is_registered_by_its_name"}
    assert len(failed) == len(expected)
    assert all(any(part in name for name in failed) for part in expected), failed


def test_one_that_is_not_registered_is_found() -> None:
    with pytest.raises(KeyError):
        Suite(Tracker()).test_it_is_registered_by_its_name()
