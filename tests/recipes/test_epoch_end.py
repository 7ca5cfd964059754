"""What follows an epoch's steps is named while it goes on, and left out where it is too much."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.events import Advanced, Event
from mriseg.io.runs import open_run
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
    measured = ["statistics 1/2", "statistics 2/2", "validate 1/1", *regions]
    assert names == [*measured, "certainty 1/1"]
    assert all(e.left is not None and e.left >= 0 for e in stages)
    # By the time of the calibration little is left, but for what is done once, at the very end.
    [*_, calibrated] = [e for e in stages if e.item in regions]
    assert calibrated.left == pytest.approx(0, abs=1e-6)

    steps = [e for e in events if isinstance(e, Advanced) and e.item.startswith("epoch")]
    assert steps and all(e.left is not None and "loss" in e.numbers for e in steps)
    pattern = r"epoch \d+" if "budget" not in end else r"epoch \d+, step \d+"
    assert all(re.fullmatch(pattern, e.item) for e in steps)


def test_the_certainty_of_the_best_weights_is_measured_at_the_end_alone(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    config = changed(tiny, slices_per_epoch=8, epochs=2, validate_every=1)
    events: list[Event] = []
    run_training(brats_store, config, cpu, tmp_path / "run", events.append)
    items = [e.item for e in events if isinstance(e, Advanced)]
    assert items.index("certainty 1/1") > items.index("epoch 2")
    certainty = open_run(tmp_path / "run").certainty()
    assert certainty is not None and certainty.scans is not None
    assert certainty.scans.cases == len(open_run(tmp_path / "run").manifest.train)
    # One validation case is too few.
    assert certainty.regions == {}


def test_without_validation_patients_the_training_scans_are_known_all_the_same(
    brats_store: Store, tiny: TrainConfig, cpu: Backend, tmp_path: Path
) -> None:
    config = changed(tiny, slices_per_epoch=8, epochs=1, validation=0.0)
    run_training(brats_store, config, cpu, tmp_path / "run")
    certainty = open_run(tmp_path / "run").certainty()
    assert certainty is not None and certainty.regions == {}
    assert certainty.scans is not None and certainty.scans.spacing is not None
