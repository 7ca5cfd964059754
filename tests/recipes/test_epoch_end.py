"""What follows an epoch's steps is named while it goes on, and left out where it is too much."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.events import Advanced, Event
from mriseg.io.store import Store
from tests.trainings import changed, run_training


@pytest.mark.parametrize("end", [{"epochs": 1}, {"epochs": None, "budget": 2.0}])
def test_each_stage_has_a_name_and_a_time_left(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path, end: dict[str, float]
) -> None:
    config = changed(tiny, slices_per_epoch=8, validate_every=1000, norm_batches=2, **end)
    events: list[Event] = []
    run_training(brats_store, config, cpu, tmp_path / "run", events.append)
    stages = [e for e in events if isinstance(e, Advanced) and not e.item.startswith("epoch")]
    names = list(dict.fromkeys(e.item for e in stages))
    regions = [f"calibrate {number}/3" for number in (1, 2, 3)]
    assert names == ["statistics 1/2", "statistics 2/2", "validate 1/1", *regions]
    assert all(e.left is not None and e.left >= 0 for e in stages)
    # By the time of the calibration little is left.
    assert stages[-1].left == pytest.approx(0, abs=1e-6)
    steps = [e for e in events if isinstance(e, Advanced) and e.item.startswith("epoch")]
    assert steps and all(e.left is not None and "loss" in e.numbers for e in steps)
    pattern = r"epoch \d+" if "budget" not in end else r"epoch \d+, step \d+"
    assert all(re.fullmatch(pattern, e.item) for e in steps)
