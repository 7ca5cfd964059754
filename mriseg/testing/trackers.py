"""What every tracker promises. A new one inherits the suite and reads back what it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mriseg.io.trackers import TRACKERS, Ended, TrackedTraining, Tracker

_TRAINING = TrackedTraining(
    "20260102-101500-brats",
    {"width": 16, "augment.flip": 0.5, "loss": "bce+dice", "budget": None, "ema": True},
    {"modalities": "T1+FLAIR", "regions": "größer als \u2264", "version.mriseg": "0.1.0"},
)
_NUMBERS = {"loss": 0.25, "dice": 0.5, "dice_WT": 0.625, "dice_tumour core (1+4)": 1e-9}


@dataclass(frozen=True)
class Tracked:
    """What a tracker has of a training.

    Attributes:
        settings: name -> value, as text.
        epochs: epoch -> its numbers.
        artefacts: names of its files.
        running: whether the tracker takes it to go on.
    """

    settings: Mapping[str, str]
    epochs: Mapping[int, Mapping[str, float]]
    artefacts: frozenset[str] = field(default_factory=frozenset)
    running: bool = False


class TrackerContract:
    """What `mriseg.io.trackers` promises of a tracker.

    Attributes:
        tracker: under test, which must be registered; a subclass names it.
    """

    tracker: Tracker

    def tracked(self, id: str) -> Tracked:
        """What the tracker has of the training; a subclass reads it by the tracker's own means."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each test in a folder of its own, which a tracker may write into."""
        monkeypatch.chdir(tmp_path)

    def test_it_is_registered_by_its_name(self) -> None:
        assert TRACKERS[self.tracker.name] is self.tracker
        assert self.tracker.summary
        self.tracker.check()

    def test_settings_and_numbers_come_back(self) -> None:
        tracking = self.tracker.begin(_TRAINING, None)
        for epoch in (1, 2, 3):
            tracking.epoch(epoch, {**_NUMBERS, "loss": 1 / epoch})
        tracked = self.tracked(tracking.id)
        assert {name: str(value) for name, value in _TRAINING.settings.items()} == tracked.settings
        assert sorted(tracked.epochs) == [1, 2, 3] and tracked.running
        for epoch, numbers in tracked.epochs.items():
            assert numbers["loss"] == pytest.approx(1 / epoch)
            assert sorted(numbers.values()) == pytest.approx(
                sorted({**_NUMBERS, "loss": 1 / epoch}.values())
            )

    def test_it_goes_on_in_the_same_training(self) -> None:
        first = self.tracker.begin(_TRAINING, None)
        first.epoch(1, _NUMBERS)
        first.close(Ended.STOPPED, "")
        assert not self.tracked(first.id).running
        again = self.tracker.begin(_TRAINING, first.id)
        assert again.id == first.id and self.tracked(first.id).running
        again.epoch(2, _NUMBERS)
        again.close(Ended.DONE, "all 2 epochs are done")
        assert sorted(self.tracked(first.id).epochs) == [1, 2]

    def test_two_trainings_of_one_name_are_two(self) -> None:
        first, second = (self.tracker.begin(_TRAINING, None) for _ in range(2))
        first.epoch(1, _NUMBERS)
        assert first.id != second.id and not self.tracked(second.id).epochs

    def test_a_file_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "curves.png"
        path.write_bytes(b"png")
        tracking = self.tracker.begin(_TRAINING, None)
        tracking.artefact(path)
        path.unlink()
        tracking.close(Ended.DONE, "")
        assert self.tracked(tracking.id).artefacts == {"curves.png"}

    @pytest.mark.parametrize("ended", list(Ended), ids=lambda ended: ended.value)
    def test_an_end_is_one(self, ended: Ended) -> None:
        tracking = self.tracker.begin(_TRAINING, None)
        tracking.close(ended, "the loss became nan\n" * 200)
        assert not self.tracked(tracking.id).running

    def test_a_training_that_it_does_not_have_is_refused(self) -> None:
        with pytest.raises(Exception):  # noqa: B017 - of any library
            self.tracker.begin(_TRAINING, "0123456789abcdef0123456789abcdef")
