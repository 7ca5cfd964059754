"""A training under way: what it expects to take, and a sum that does not depend on looking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.core.imbalance import positive_weight
from mriseg.engine.trainer import Trainer
from mriseg.errors import DivergedError
from mriseg.events import Began
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store
from mriseg.recipes.batches import Batches
from mriseg.recipes.clock import Clock
from mriseg.recipes.keeper import Keeper, Position
from mriseg.recipes.load import network_of
from mriseg.recipes.pace import Pace
from mriseg.recipes.setup import plan_training
from mriseg.recipes.train import train
from mriseg.recipes.training import Training
from tests.trainings import changed


@pytest.fixture
def begun(brats_store: Store, short: TrainConfig, cpu: Backend, tmp_path: Path) -> Run:
    """A run that was stopped before its first step."""
    recipe = train(brats_store, short, cpu, out=tmp_path / "run")
    next(event for event in recipe if isinstance(event, Began))
    recipe.close()
    return open_run(tmp_path / "run")


def a_training(
    run: Run, store: Store, config: TrainConfig, cpu: Backend, **values: Any
) -> Training:
    config = changed(config, **values)
    setup, at = plan_training(store, config), Position()
    trainer = Trainer(
        network_of(run, run.load("last").weights, cpu.ops),
        cpu,
        config,
        pos_weight=positive_weight(config, setup.positive_share),
        frame=setup.task.frame,
    )
    clock = Clock(config, len(setup.plan(0)))
    keeper = Keeper(run, at, 10.0)
    batches = Batches(store, setup, cpu)
    return Training(setup, trainer, batches, clock, Pace(), keeper, at, is_new=True)


def test_the_end_is_measured_once_and_changes_nothing(
    begun: Run, brats_store: Store, short: TrainConfig, cpu: Backend
) -> None:
    training = a_training(begun, brats_store, short, cpu)
    before = {name: t.clone() for name, t in training.trainer.average.state_dict().items()}
    drawn = torch.get_rng_state()
    training.measure_ending()
    ending = training.clock.ending
    assert 0 < ending == training.at.ending
    # It is not time for steps.
    assert 0 < training.clock.paused <= training.clock.seconds
    training.measure_ending()
    assert training.clock.ending == ending
    after = training.trainer.average.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert torch.equal(torch.get_rng_state(), drawn)


def test_what_is_left_includes_the_validations(
    begun: Run, brats_store: Store, short: TrainConfig, cpu: Backend
) -> None:
    training = a_training(begun, brats_store, short, cpu, epochs=4, validate_every=3)
    assert training.left() is None
    training.clock.ending = 100.0
    training.pace.add(1, 2.0, low_res=False)
    # Four epochs of twelve steps, and a validation after the third and the last.
    assert training.left() == 48 * 2 + 2 * 100
    outlook = training.outlook()
    assert outlook.seconds == pytest.approx(48 * 2 + 2 * 100)
    assert outlook.validates and outlook.narrower and outlook.shorter
    training.at.epoch, training.at.step = 3, 36
    assert training.left() == 12 * 2 + 100
    # Without patients to validate on there is an end all the same.
    alone = a_training(begun, brats_store, short, cpu, epochs=4, validation=0.0)
    alone.clock.ending = 10.0
    alone.pace.add(1, 2.0, low_res=False)
    assert alone.left() == 48 * 2 + 10 and not alone.outlook().validates


def test_a_budget_is_shared_by_steps_and_validations(
    begun: Run, brats_store: Store, short: TrainConfig, cpu: Backend
) -> None:
    config = changed(short, epochs=None, budget=1000.0)
    training = a_training(begun, brats_store, config, cpu)
    training.clock.ending = 40.0
    training.pace.add(1, 10.0, low_res=False)
    left = training.left()
    assert left is not None and 900 < left <= 1000
    outlook = training.outlook()
    # Each twelve steps of 10 s are followed by 40 s, and 44 s are kept for the last.
    assert outlook.steps_left == pytest.approx(956 / (10 + 40 / 12), rel=0.1)
    assert outlook.epochs is None


@given(data=st.data(), values=st.lists(st.floats(0, 10, width=32), min_size=1, max_size=30))
def test_the_sum_of_losses_does_not_depend_on_when_one_looks(
    data: st.DataObject, values: list[float]
) -> None:
    training = Training(*[None] * 6, Position(), is_new=True)  # type: ignore[arg-type]
    training.add_losses([torch.tensor(value) for value in values])
    whole, training.at.loss_sum = training.at.loss_sum, 0.0
    rest = [torch.tensor(value) for value in values]
    while rest:
        count = data.draw(st.integers(1, len(rest)))
        training.add_losses(rest[:count])
        rest = rest[count:]
    assert training.at.loss_sum == whole


def test_a_loss_that_is_no_number_ends_it(
    begun: Run, brats_store: Store, short: TrainConfig, cpu: Backend
) -> None:
    training = a_training(begun, brats_store, short, cpu)
    training.at.batch = training.at.step = 3
    losses = [torch.tensor(0.5), torch.tensor(torch.nan), torch.tensor(0.5)]
    with pytest.raises(DivergedError, match="the loss became nan at epoch 1, step 2"):
        training.add_losses(losses)
