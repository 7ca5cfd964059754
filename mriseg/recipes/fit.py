"""The loop of a training, from the first step to the last checkpoint.

The position is all that a checkpoint needs besides tensors: plans and augmentations are functions
of seed, epoch and step, so a training that resumes does what it would have done.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mriseg.backends.base import Backend
from mriseg.core.calibration import Calibration, calibrate
from mriseg.core.imbalance import positive_weight
from mriseg.core.segnet import SegNet
from mriseg.engine.divergence import Suspect, suspects
from mriseg.engine.trainer import Trainer, TrainerState
from mriseg.errors import DivergedError, RunError
from mriseg.events import Advanced, Began, Measured, Notice, Recipe, Wrote
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes.batches import Batches
from mriseg.recipes.clock import Clock
from mriseg.recipes.diverged import diverged
from mriseg.recipes.keeper import Keeper, Position
from mriseg.recipes.setup import Setup
from mriseg.recipes.validate import Validation, validate

# Steps between two looks at the loss: each look waits for the device.
_LOOK_EVERY = 10


@dataclass(frozen=True)
class TrainReport:
    """What a training gave.

    Attributes:
        run: its folder.
        best: the best validation score (mean 3-D Dice over patients and regions); None where no
            patient validates, and then the weights at the end are the run's.
        best_epoch: when, counted from 1.
        epochs: how many were finished.
        seconds: spent training and validating.
        reason: why it stopped.
        dice: case -> region -> Dice of the best validation.
    """

    run: Path
    best: float | None
    best_epoch: int
    epochs: int
    seconds: float
    reason: str
    dice: dict[str, dict[str, float]]


@dataclass(frozen=True)
class _Training:
    """A training under way: each part knows its own business and none of the others'."""

    setup: Setup
    trainer: Trainer
    batches: Batches
    clock: Clock
    keeper: Keeper
    at: Position


def fit(
    run: Run,
    store: Store,
    setup: Setup,
    backend: Backend,
    network: SegNet,
    *,
    anchors: Mapping[str, Tensor] | None = None,
    position: Position | None = None,
    state: TrainerState | None = None,
) -> Recipe[TrainReport]:
    """Train until the epochs, the budget or the patience are spent.

    Args:
        run: where to write.
        store: where to read.
        setup: the plan of the training.
        backend: where to compute.
        network: on the CPU, with its initial weights.
        anchors: parameter name -> the value that L2-SP draws it to.
        position: how far the training is; None: at its beginning.
        state: the tensors at that position.

    Raises:
        DivergedError: the loss or a weight became NaN or infinite.
        StoreError: a slice cannot be read.
    """
    at, config = position or Position(), setup.config
    with backend.running():
        trainer = Trainer(
            network,
            backend,
            config,
            pos_weight=positive_weight(config, setup.positive_share),
            frame=setup.task.frame,
            anchors=anchors,
        )
        if state is not None:
            _resume(run, trainer, state, at)
        batches = Batches(store, setup, backend)
        clock = Clock(config, len(setup.plan(at.epoch)), at.seconds)
        keeper = Keeper(run, at, config.checkpoint_every)
        training = _Training(setup, trainer, batches, clock, keeper, at)
        if at.step == 0:
            _save(training)  # from the first moment there is something to resume from
        keeper.check_space()
        if batches.why_on_cpu:
            yield Notice(
                f"{backend.name} cannot augment ({batches.why_on_cpu}): that is done on the CPU"
            )
        yield Began("train", clock.total, clock.unit)
        reason = ""
        while not reason:
            row = yield from _train_epoch(training)
            better, validated = _validate_epoch(training, row)
            reason = _reason(training, validated)
            keeper.log(row)
            _save(training, ended=reason)
            numbers = {key: value for key, value in row.items() if key != "epoch"}
            yield Measured("epoch", row["epoch"], numbers, note="best so far" if better else "")
            if problem := keeper.draw_curves(last=bool(reason)):
                yield Notice(problem)
    yield Wrote(run.path, "run")
    best = at.best if at.dice else None
    return TrainReport(run.path, best, at.best_epoch, at.epoch, at.seconds, reason, at.dice)


def _train_epoch(training: _Training) -> Recipe[dict[str, Any]]:
    """Take the steps that are left of this epoch, and give its row of the log."""
    setup, trainer, clock, at = training.setup, training.trainer, training.clock, training.at
    plans = setup.plan(at.epoch)
    began, first, images, training.batches.waited = clock.tick(), at.batch, 0, 0.0
    losses: list[Tensor] = []
    trainer.compiling.begin()
    for batch in training.batches(plans[at.batch :], "augment", at.step):
        clock.tick()
        losses.append(trainer.step(batch, clock.progress(at.step)))
        at.rate = trainer.rate
        at.batch, at.step, images = at.batch + 1, at.step + 1, images + len(batch[0])
        for text in trainer.news():
            yield Notice(text)
        clock.tick()
        if at.step % _LOOK_EVERY == 0 or at.batch == len(plans) or clock.is_over:
            steps = len(losses)
            at.loss_sum += _finite_sum(training, losses)
            losses.clear()
            spent = max(clock.tick() - began, 1e-9)
            # Each phase has to be compiled again, so only the last, the longest, is tried.
            left = clock.left(at.step, (at.batch - first) / spent)
            if trainer.is_final and (decision := trainer.compiling.end(steps, left)):
                yield Notice(decision)
            yield _advanced(training, images / spent)
            if training.keeper.is_due(clock.seconds):
                _save(training)
            trainer.compiling.begin()
        if clock.is_over:
            break
    _check_weights(training)
    spent = max(clock.tick() - began, 1e-9)
    at.epoch += 1
    row = {
        "epoch": at.epoch,
        "step": at.step,
        "loss": at.loss_sum / max(at.batch, 1),
        "learning_rate": at.rate,
        "images_per_second": images / spent,
        "waiting_share": training.batches.waited / spent,
    }
    at.batch, at.loss_sum = 0, 0.0
    return row


def _validate_epoch(training: _Training, row: dict[str, Any]) -> tuple[bool, bool]:
    """Validate if it is time to, keep the best, and add to the epoch's row.

    Returns:
        Whether this epoch is the best so far, and whether it was looked at as a last one would be.
    """
    setup, clock, at = training.setup, training.clock, training.at
    last, validates = clock.is_last(at.epoch), bool(setup.split.validation)
    due = last or (validates and at.epoch % setup.config.validate_every == 0)
    better = False
    if last and not validates:
        at.best_epoch = at.epoch
        prior = setup.prior_calibrations
        training.keeper.save_best(_network(training), at, {}, prior)
    elif due:
        network = _network(training)
        validation = _validation(training, network)
        row |= {f"dice_{name}": validation.mean(name) for name in setup.task.regions}
        row["dice"] = validation.score
        better = validation.score > at.best
        # What has not trained yet may still help, so patience waits for the last phase.
        waits = better or not training.trainer.is_final
        at.stale = 0 if waits else at.stale + 1
        if better:
            at.best, at.best_epoch, at.dice = validation.score, at.epoch, validation.dice
            calibration = _calibration(setup, validation)
            training.keeper.save_best(network, at, validation.dice, calibration)
    row["seconds"] = clock.tick()
    return better, due


def _reason(training: _Training, validated: bool) -> str:
    """Why training stops now; empty if it goes on."""
    clock, at = training.clock, training.at
    # A budget that ran out only after it was asked whether to validate gets another step.
    if validated and clock.is_last(at.epoch):
        return f"all {clock.epochs} epochs are done" if clock.epochs else "the budget is spent"
    if at.stale >= training.setup.config.patience:
        return f"no better Dice in {at.stale} validations"
    return ""


def _network(training: _Training) -> SegNet:
    """The network as the run gives it, from the first epoch's batches whenever it is resumed."""
    setup, config = training.setup, training.setup.config
    plans = setup.plan(epoch=0)[: config.norm_batches] if config.ema_decay else []
    if not plans:
        return training.trainer.network(None)
    images = (image for image, _ in training.batches(plans, "statistics"))
    return training.trainer.network(images)


def _validation(training: _Training, network: SegNet) -> Validation:
    setup, at = training.setup, training.at
    validation = validate(
        network,
        training.trainer.backend,
        training.batches.store,
        setup.split.validation,
        setup.task,
        levels=tuple(each.own_threshold for each in setup.prior_calibrations.values()),
    )
    if validation.non_finite:
        cases = ", ".join(validation.non_finite)
        what = f"after epoch {at.epoch} the network's output for {cases} is infinite or NaN"
        worst = [Suspect(ref, True, math.nan) for ref in validation.corrupt_slices]
        raise _diverged(training, what, worst)
    training.keeper.draw_slices(at, validation.rows, setup.task.modalities, [*setup.task.regions])
    return validation


def _calibration(setup: Setup, validation: Validation) -> dict[str, Calibration]:
    return {
        name: calibrate(validation.tallies[name], validation.dice_by_min_share[name], prior)
        for name, prior in setup.prior_calibrations.items()
    }


def _resume(run: Run, trainer: Trainer, state: TrainerState, at: Position) -> None:
    try:
        trainer.load(state, at.step)
    except ValueError as error:
        raise RunError(f"{run.path}/last.safetensors is damaged: {error}") from None


def _save(training: _Training, ended: str = "") -> None:
    """Write "last", whose weights are finite."""
    at = training.at
    _check_weights(training)
    at.seconds = training.clock.tick()
    training.keeper.save(training.trainer, at, ended)


def _advanced(training: _Training, speed: float) -> Advanced:
    at = training.at
    numbers = {"loss": at.loss_sum / at.batch, "images/s": speed}
    if at.best >= 0:
        numbers["Dice"] = at.best
    return Advanced("train", training.clock.done(at.step), numbers)


def _finite_sum(training: _Training, losses: Sequence[Tensor]) -> float:
    """The sum of the losses since the last look. Raises DivergedError if one is not finite."""
    values = torch.stack(list(losses))
    total = float(values.sum())
    if not math.isfinite(total):
        first = int((~values.cpu().isfinite()).nonzero()[0])
        ago = len(values) - 1 - first
        raise _diverged_in_step(training, f"the loss became {total:g}", ago)
    return total


def _check_weights(training: _Training) -> None:
    if name := training.trainer.broken_weight():
        what = f"{name}, a weight, became infinite or NaN"
        raise _diverged_in_step(training, what, ago=0)


def _diverged_in_step(training: _Training, what: str, ago: int) -> DivergedError:
    """The error for what went wrong ``ago`` steps before the last one, whose batch it names."""
    at, trainer = training.at, training.trainer
    step = at.step - ago
    worst: list[Suspect] = []
    if step and at.batch > ago:
        # Made again as it was, and looked at with weights that can still tell.
        plan = training.setup.plan(at.epoch)[at.batch - 1 - ago]
        with closing(training.batches([plan], "augment", step - 1)) as batches:
            image, target = next(batches)
        trainer.model.load_state_dict(training.keeper.run.load("last").weights)
        worst = suspects(plan.refs, image, target, trainer.model, trainer.loss)
    return _diverged(training, f"{what} at epoch {at.epoch + 1}, step {step}", worst)


def _diverged(training: _Training, what: str, worst: Sequence[Suspect]) -> DivergedError:
    in_full = training.trainer.backend.dtype == torch.float32
    rate = training.setup.config.learning_rate
    return diverged(what, worst, training.keeper.run.path, rate=rate, in_full=in_full)
