"""What a tracker is: it begins a training, and is given its numbers, its files and its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol


class Ended(Enum):
    """How a sitting of a training ended."""

    DONE = "done"
    STOPPED = "stopped"
    """It can be resumed, and then the same tracked run goes on."""
    FAILED = "failed"


@dataclass(frozen=True)
class TrackedTraining:
    """What a tracker learns of a training: no name of a case or a patient, and no path.

    Attributes:
        name: of the run's folder.
        settings: dotted name -> value, as in ``{"width": 16, "augment.flip": 0.5}``.
        facts: what the training is of: modalities, regions, numbers of cases, versions, backend.
    """

    name: str
    settings: Mapping[str, str | int | float | bool | None]
    facts: Mapping[str, str]


class Tracking(Protocol):
    """A training as one tracker sees it. Any method may raise: mriseg says so and goes on."""

    @property
    def id(self) -> str:
        """By which the tracker finds it again."""

    def epoch(self, epoch: int, numbers: Mapping[str, float]) -> None:
        """The numbers of an epoch, counted from 1; those of `mriseg.io.runs.log.LogRow`.

        Each epoch comes once, in order, however often the training is stopped and resumed.
        """

    def artefact(self, path: Path) -> None:
        """A file that the training made."""

    def close(self, ended: Ended, reason: str) -> None:
        """This sitting is over; nothing comes after."""


class Tracker(Protocol):
    """Begins and continues trainings."""

    name: str
    summary: str

    def check(self) -> None:
        """Make sure, before a training, that what the tracker needs is installed.

        Raises:
            ConfigError: it is not; the message says what to install.
        """

    def begin(self, training: TrackedTraining, known: str | None) -> Tracking:
        """A training that begins or goes on.

        Args:
            training: what it is.
            known: the `Tracking.id` that an earlier sitting had; None: it is new.
        """
