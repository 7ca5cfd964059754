"""The loop of a training, from the first step to the last checkpoint.

The position is all that a checkpoint needs besides tensors: plans and augmentations are functions
of seed, epoch and step, so a training that resumes does what it would have done.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mriseg.backends.base import Backend
from mriseg.core.imbalance import positive_weight
from mriseg.core.resolution import low_res_share_of
from mriseg.core.segnet import SegNet
from mriseg.core.wording import counted
from mriseg.engine.trainer import Trainer, TrainerState
from mriseg.errors import RunError
from mriseg.events import Began, Measured, Notice, Recipe, Started, Wrote
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews
from mriseg.recipes.batches import Batches
from mriseg.recipes.clock import Clock
from mriseg.recipes.epoch_end import end_epoch, end_training
from mriseg.recipes.keeper import Keeper, Onlooker, Position
from mriseg.recipes.pace import WORTH_SAYING, Pace, too_short
from mriseg.recipes.setup import Setup
from mriseg.recipes.training import Training
from mriseg.report.html import FILE

# Steps, or seconds, between two looks at the loss: each look waits for the device.
_LOOK_EVERY, _LOOK_AFTER = 10, 2.0


@dataclass(frozen=True, repr=False)
class TrainReport(Shown):
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

    @property
    def page(self) -> Path | None:
        """The run's page; None where there is none."""
        return overviews.page_in(self.run)

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.trained(self)


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
    at, config, ranks = position or Position(), setup.config, backend.ranks
    # As rank 0 has them: files and machines of other ranks may differ in a last bit.
    ranks.same_([*network.state_dict().values(), *(anchors or {}).values()])
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
        steps = len(setup.plan(at.epoch))
        clock = Clock(
            config, steps, at.seconds, ending=at.ending, paused=at.paused, agree=ranks.agree
        )
        keeper = (Keeper if ranks.first else Onlooker)(run, at, config.checkpoint_every)
        if ranks.several or at.processes:
            _sitting(at, ranks.world)
        pace = Pace(low_res_share_of(config, setup.task.frame))
        is_new = at.step == 0
        training = Training(setup, trainer, batches, clock, pace, keeper, at, is_new)
        if is_new:
            training.save()  # from the first moment there is something to resume from
        keeper.check_space()
        if batches.why_on_cpu:
            yield Notice(
                f"{backend.name} cannot augment ({batches.why_on_cpu}): that is done on the CPU"
            )
        yield Started(run.path)
        yield Began("train", clock.total, clock.unit, clock.done(at.step))
        reason, heard = "", keeper.heard
        heard.notices += [*backend.notes, *setup.notices]
        while not reason:
            row = yield from heard.listening(_train_epoch(training))
            reason = yield from heard.listening(_finish_epoch(run, training, row))
    for text in _nothing_in(at):
        yield Notice(text)
    yield Wrote(run.path, "run")
    if (run.path / FILE).exists():
        yield Wrote(run.path / FILE, "report")
    best = at.best if at.dice else None
    return TrainReport(run.path, best, at.best_epoch, at.epoch, at.seconds, reason, at.dice)


def _train_epoch(training: Training) -> Recipe[dict[str, Any]]:
    """Take the steps that are left of this epoch, and give its row of the log."""
    setup, trainer, clock, at = training.setup, training.trainer, training.clock, training.at
    plans = setup.plan(at.epoch)
    began, images, training.batches.waited = clock.tick(), 0, 0.0
    looked, losses = began, list[Tensor]()
    trainer.compiling.begin()
    for batch in training.batches(plans[at.batch :], "augment", at.step):
        clock.tick()
        losses.append(trainer.step(batch, clock.progress(at.step)))
        at.rate = trainer.rate
        at.batch, at.step, images = at.batch + 1, at.step + 1, images + setup.config.batch_size
        for text in trainer.news():
            yield Notice(text)
        waits = clock.tick() - looked < _LOOK_AFTER and at.step % _LOOK_EVERY
        if not waits or at.batch == len(plans) or clock.is_over or not training.pace.is_known:
            yield from _look(training, losses, looked)
            yield training.stepped(images / max(clock.seconds - began, 1e-9))
            if training.keeper.is_due(clock.seconds):
                training.save()
            losses.clear()
            looked = clock.tick()
            trainer.compiling.begin()
        if clock.is_over:
            break
    training.check_weights()
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


def _look(training: Training, losses: Sequence[Tensor], since: float) -> Recipe[None]:
    """Wait for the device and see how it went since the last look."""
    trainer, clock, at, pace = training.trainer, training.clock, training.at, training.pace
    # Whether one is finite is decided alike, should machines round differently.
    trainer.backend.ranks.same_(losses)
    training.add_losses(losses)
    pace.add(len(losses), clock.tick() - since, low_res=trainer.low_res)
    clock.step_seconds = pace.step(low_res=trainer.low_res)
    # Each phase has to be compiled again, so only the last, the longest, is tried.
    left = clock.left(at.step, 1 / max(clock.step_seconds, 1e-9))
    if trainer.is_final and (decision := trainer.compiling.end(len(losses), left)):
        yield Notice(decision)
    if clock.epochs is None and not clock.ending:
        training.measure_ending()
        if clock.is_over and training.is_new:
            yield Notice(too_short(clock.budget, clock.least))
    if pace.is_warm and not pace.announced:
        pace.announced = True
        yield from _outlook(training)


def _outlook(training: Training) -> Recipe[None]:
    """Say how long the training will take here, unless it is over soon."""
    clock, pace = training.clock, training.pace
    rest = pace.seconds(training.at.step, clock.total) if clock.epochs else clock.budget
    if rest >= WORTH_SAYING and not clock.is_over:
        training.measure_ending()
        yield Notice(training.outlook().sentence())


def _finish_epoch(run: Run, training: Training, row: dict[str, Any]) -> Recipe[str]:
    """Validate, write, and say why training stops now; empty if it goes on."""
    clock, at = training.clock, training.at
    clock.pause()
    began = clock.seconds
    better, validated = yield from end_epoch(training, row)
    reason = _reason(training, validated)
    validation = clock.tick() - began
    if reason:
        # Before it counts as ended, so that one that is stopped here is resumed and does it.
        yield from end_training(training, run)
    training.keeper.log(row)
    training.save(ended=reason)
    numbers = {key: value for key, value in row.items() if key != "epoch"}
    note = "best so far" if better and at.best > 0 else ""
    yield Measured("epoch", row["epoch"], numbers, note)
    if problem := training.keeper.draw_curves(reason):
        yield Notice(problem)
    clock.go_on()
    if validated:
        # It is measured once, after the last step, and is part of what a budget keeps for the end.
        later = 0.0 if reason else training.certainty_seconds(validation)
        clock.ending = at.ending = clock.seconds - began + later
    return reason


def _reason(training: Training, validated: bool) -> str:
    """Why training stops now; empty if it goes on."""
    clock, at = training.clock, training.at
    # A budget that ran out only after it was asked whether to validate gets another step.
    if validated and clock.is_last(at.epoch):
        if clock.epochs is None:
            return "the budget is spent"
        return (
            f"all {clock.epochs} epochs are done" if clock.epochs > 1 else "its one epoch is done"
        )
    if at.stale >= training.setup.config.patience:
        return f"no better Dice in {at.stale} validations"
    return ""


def _nothing_in(at: Position) -> Iterator[str]:
    """What to do about regions that validation did not see segmented in any case."""
    regions = next(iter(at.dice.values()), {})
    never = [name for name in regions if not any(scores[name] for scores in at.dice.values())]
    if never:
        yield (
            f"validation found no {' and no '.join(never)} in any case (Dice 0): train longer than "
            f"{counted(at.step, 'step')}, with a smaller --width if time is short, or check with "
            f"mriseg info STORE that the cases are labelled as you expect"
        )


def _sitting(at: Position, processes: int) -> None:
    """Note how many processes train from here on, where that is not always one."""
    earlier = [each for each in at.processes if each[0] < at.step] or [(0, 1)] * (at.step > 0)
    if not earlier or earlier[-1][1] != processes:
        earlier.append((at.step, processes))
    at.processes = earlier


def _resume(run: Run, trainer: Trainer, state: TrainerState, at: Position) -> None:
    try:
        trainer.load(state, at.step)
    except ValueError as error:
        raise RunError(f"{run.path}/last.safetensors is damaged: {error}") from None
