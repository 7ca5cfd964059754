from __future__ import annotations

from mriseg.core.task import Task


def test_a_task_knows_the_shape_of_its_network() -> None:
    config = Task(("T1", "FLAIR"), {"WT": (1, 2, 4), "ET": (4,), "TC": (1, 4)}, (64, 96)).network(8)
    assert (config.in_channels, config.classes, config.width) == (2, 3, 8)
