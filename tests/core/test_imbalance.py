"""Rare regions weigh more, and the effect on the odds is known."""

from __future__ import annotations

import math

import pytest

from mriseg.core.calibration import Calibration
from mriseg.core.config import TrainConfig
from mriseg.core.imbalance import positive_weight, prior_calibrations
from mriseg.io.store import Store
from mriseg.recipes.setup import plan_training
from tests.trainings import changed


def test_a_region_weighs_by_how_rare_it_is(brats_store: Store, tiny: TrainConfig) -> None:
    setup = plan_training(brats_store, tiny)
    shares = dict(zip(setup.task.regions, setup.positive_share, strict=True))
    assert 0 < shares["ET"] < shares["TC"] < shares["WT"] < 0.5
    weights = positive_weight(tiny, setup.positive_share)
    assert weights.shape == (3, 1, 1)
    assert 1 < weights[0] < weights[1] < weights[2]
    assert positive_weight(changed(tiny, pos_weight=4.0), setup.positive_share).eq(4).all()


def test_a_weight_is_removed_from_the_odds_where_it_was_applied() -> None:
    share = (0.01, 0.1)
    weighed = prior_calibrations(TrainConfig(loss="bce+dice"), ("WT", "ET"), share)
    weights = positive_weight(TrainConfig(), share).ravel().tolist()
    assert [each.shift for each in weighed.values()] == pytest.approx(
        [-math.log(w) for w in weights]
    )
    plain = prior_calibrations(TrainConfig(loss="dice"), ("WT", "ET"), share)
    assert set(plain.values()) == {Calibration()} and list(plain) == ["WT", "ET"]
