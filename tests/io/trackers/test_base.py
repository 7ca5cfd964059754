"""What a tracker is told holds no path and no name of a case: there is no place for one."""

from __future__ import annotations

from dataclasses import fields

from mriseg.io.trackers import TRACKERS, TrackedTraining


def test_a_tracked_training_has_three_parts() -> None:
    assert [field.name for field in fields(TrackedTraining)] == ["name", "settings", "facts"]


def test_trackers_have_a_check_that_needs_no_training() -> None:
    assert "mlflow" in TRACKERS
    for name in TRACKERS:
        assert TRACKERS[name].name == name
