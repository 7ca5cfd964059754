"""Trackers: programs beside mriseg that collect trainings; one module each, in ``TRACKERS``.

``base`` says what a tracker is, ``record`` remembers in a run's folder what was tracked of it.
"""

from __future__ import annotations

from mriseg.io.trackers.base import Ended, TrackedTraining, Tracker, Tracking
from mriseg.registry import Registry

__all__ = ["TRACKERS", "Ended", "TrackedTraining", "Tracker", "Tracking"]

TRACKERS: Registry[Tracker] = Registry(
    "tracker", {"mlflow": "mriseg.io.trackers.mlflow:TRACKER"}, group="mriseg.trackers"
)
