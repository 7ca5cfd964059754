"""The loop of a training: steps, validations, checkpoints, and when to stop.

`fit` is the outline; `_Fit` holds what its parts share. The position is all that a checkpoint needs
besides tensors: plans and augmentations are functions of seed, epoch and step, so a training that
goes on from a checkpoint does what it would have done.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mriseg.backends.base import Backend
from mriseg.core import augment, batchnorm, finetune, rng
from mriseg.core.averaging import average_in, averaged
from mriseg.core.calibration import Calibration, calibrate, prior_calibration
from mriseg.core.config import DEFAULT_EPOCHS, TrainConfig
from mriseg.core.losses import build_loss, parse_loss
from mriseg.core.resolution import halved, low_res_share_of
from mriseg.core.sampling import BatchPlan
from mriseg.core.segnet import SegNet, freeze
from mriseg.core.steps import train_step
from mriseg.engine.augmentation import augmented, why_not_there
from mriseg.engine.compiling import Compiling
from mriseg.engine.divergence import Suspect, diverged, suspects
from mriseg.errors import DivergedError
from mriseg.events import Advanced, Began, Measured, Notice, Recipe, Wrote
from mriseg.io import runs
from mriseg.io.disk.space import check_space
from mriseg.io.runs import Checkpoint, Run
from mriseg.io.runs.tensorboard import Board
from mriseg.io.store import Store
from mriseg.io.store.loader import prefetch
from mriseg.recipes.setup import Setup, positive_weight
from mriseg.recipes.validate import Validation, validate
from mriseg.report import pictures
from mriseg.report.curves import Curves

# Steps between two looks at the loss: each look waits for the device.
_LOOK_EVERY = 10

Pair = tuple[Tensor, Tensor]
"""Slices [b, c, h, w] and their masks [b, r, h, w]."""


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


@dataclass
class Position:
    """How far a training is; what a checkpoint holds besides tensors.

    Attributes:
        epoch: how many are finished.
        batch: steps done of the epoch under way.
        step: steps done in all.
        seconds: spent, over all the times it was resumed.
        loss_sum: of the epoch under way.
        rate: the learning rate of the last step.
        best: the best validation score so far; -1 before the first.
        best_epoch: when that was, counted from 1.
        stale: validations since.
        dice: case -> region -> Dice of the best validation.
        scaler: of the gradient, in float16; else empty.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    rate: float = 0.0
    best: float = -1.0
    best_epoch: int = 0
    stale: int = 0
    dice: dict[str, dict[str, float]] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)


def fit(
    run: Run,
    store: Store,
    config: TrainConfig,
    backend: Backend,
    setup: Setup,
    model: SegNet,
    *,
    start: Mapping[str, Tensor] | None = None,
    position: Position | None = None,
    optimiser: Mapping[str, Tensor] | None = None,
    average: Mapping[str, Tensor] | None = None,
) -> Recipe[TrainReport]:
    """Train ``model`` from ``position`` until the epochs, the budget or the patience are spent.

    Args:
        run: where to write.
        store: where to read.
        config: of the training.
        backend: where to compute.
        setup: what was settled before.
        model: on the CPU, with the weights to go on from.
        start: the values that parameters are drawn to by L2-SP, by name.
        position: how far the training is; None: at its beginning.
        optimiser: the optimiser's tensors at that position.
        average: the average of the weights until then; None: the weights themselves.

    Raises:
        DivergedError: the loss or a weight became NaN or infinite.
        StoreError: a slice cannot be read.
    """
    with backend.running():
        board = _board(run, position)
        loop = _Fit(run, store, config, backend, setup, model, start, position, optimiser, average)
        if loop.augments_on_cpu:
            yield Notice(
                f"{backend.name} cannot augment ({loop.augments_on_cpu}): that is done on the CPU"
            )
        yield Began("train", loop.total, "step" if loop.epochs else "second")
        curves = Curves(run)
        reason = ""
        while not reason:
            yield from loop.epoch()
            row, best = loop.close_epoch()
            reason = loop.reason()
            _log(run, board, loop.rows)
            loop.save(ended=reason)
            numbers = {key: value for key, value in row.items() if key != "epoch"}
            yield Measured("epoch", row["epoch"], numbers, note="best so far" if best else "")
            if notice := curves.draw(loop.rows, last=bool(reason)):
                yield notice
    yield Wrote(run.path, "run")
    at = loop.position
    score = at.best if at.dice else None
    return TrainReport(run.path, score, at.best_epoch, at.epoch, at.seconds, reason, at.dice)


class _Fit:
    """A training under way."""

    def __init__(
        self,
        run: Run,
        store: Store,
        config: TrainConfig,
        backend: Backend,
        setup: Setup,
        model: SegNet,
        start: Mapping[str, Tensor] | None,
        position: Position | None,
        optimiser: Mapping[str, Tensor] | None,
        average: Mapping[str, Tensor] | None,
    ) -> None:
        self.run, self.store, self.config = run, store, config
        self.backend, self.setup = backend, setup
        self.position = position or Position()
        self.epochs = config.epochs or (None if config.budget else DEFAULT_EPOCHS)
        self.phases = finetune.phases(config.transfer)
        self.phase = self.phases[-1]
        self.low_res_share_of = low_res_share_of(config, setup.frame)
        self.at_half = False
        # The optimiser has all that will ever train; what a phase freezes gets no gradient, and
        # is let be.
        mean = averaged(model)
        if average:
            mean.load_state_dict(dict(average))
        self.average = backend.place_model(mean)
        self.model = backend.place_model(freeze(model, self.phase.frozen))
        self.optimiser = optimiser_of(self.model, config, start)
        runs.restore_optimiser(self.model, self.optimiser, optimiser or {})
        spec, weight = parse_loss(config.loss), positive_weight(config, setup.positive_share)
        self.loss = build_loss(spec, backend.place(weight))
        # What holds where too few patients validate to measure a calibration.
        self.prior_calibration = {
            name: prior_calibration(each) if spec.weighs_positives else Calibration()
            for name, each in zip(setup.regions, weight.ravel().tolist(), strict=True)
        }
        self.scaler = backend.scaler()
        if self.scaler is not None and self.position.scaler:
            self.scaler.load_state_dict(self.position.scaler)
        self.compiling = Compiling(self.model, backend)
        self.augments_on_cpu = why_not_there(backend)
        self.rows = [row for row in run.read_log() if row["epoch"] <= self.position.epoch]
        self.plans = self.setup.plan(self.config, self.position.epoch)
        self._began = time.monotonic() - self.position.seconds
        self._saved = self.seconds
        self._seen, self._waited, self._epoch_began = 0, 0.0, self.seconds
        self._concluded = False
        if self.position.step == 0:
            self.save()  # from the first moment there is something to go on from
        # Of both checkpoints there is an old one while the new one is written.
        check_space(run.path, 2 * (run.path / "last.safetensors").stat().st_size)

    @property
    def seconds(self) -> float:
        """Spent on this training, over all the times it was resumed."""
        return time.monotonic() - self._began

    @property
    def total(self) -> int:
        """Steps, or seconds where the budget is of time."""
        return self.epochs * len(self.plans) if self.epochs else int(self.config.budget or 0)

    @property
    def left(self) -> float:
        """Seconds until the end, at the speed of this epoch."""
        if not self.epochs:
            return (self.config.budget or math.inf) - self.seconds
        done = self.position.batch / max(self.seconds - self._epoch_began, 1e-9)
        return (self.total - self.position.step) / max(done, 1e-9)

    @property
    def out_of_time(self) -> bool:
        """Whether the budget is spent."""
        return not self.epochs and self.seconds >= (self.config.budget or math.inf)

    @property
    def is_last(self) -> bool:
        """Whether the epoch just closed was the last."""
        return self.out_of_time or self.position.epoch == self.epochs

    def reason(self) -> str:
        """Why training stops now; empty if it goes on."""
        # A budget that ran out only after it was asked whether to validate gets another step.
        if self.is_last and self._concluded:
            return f"all {self.epochs} epochs are done" if self.epochs else "the budget is spent"
        if self.position.stale >= self.config.patience:
            return f"no better Dice in {self.position.stale} validations"
        return ""

    def epoch(self) -> Recipe[None]:
        """The steps that are left of this epoch."""
        at = self.position
        self.plans = self.setup.plan(self.config, self.position.epoch)
        self._seen, self._waited, self._epoch_began = 0, 0.0, self.seconds
        losses: list[Tensor] = []
        self.model.train()
        self.compiling.begin()
        for image, target in self._batches():
            yield from self._keep_pace()
            if self.at_half:
                image, target = halved(image, target)
            try:
                losses.append(self._step(image, target))
            except Exception as error:
                notice = self.compiling.failed(error)
                if notice is None:
                    raise
                yield notice
                losses.append(self._step(image, target))
            at.batch += 1
            at.step += 1
            self._seen += len(image)
            over = self.out_of_time
            if at.step % _LOOK_EVERY == 0 or at.batch == len(self.plans) or over:
                steps = len(losses)
                at.loss_sum += self._finite_sum(losses)
                losses.clear()
                # Each phase has to be compiled anew, so only the last, the longest, is tried.
                if self._settled and (notice := self.compiling.end(steps, self.left)):
                    yield notice
                yield self._advanced()
                if self.seconds - self._saved > self.config.checkpoint_every:
                    self.save()
                self.compiling.begin()
            if over:
                return

    def _step(self, image: Tensor, target: Tensor) -> Tensor:
        value = train_step(
            self.compiling.network,
            self.optimiser,
            self.loss,
            image,
            target,
            autocast=self.backend.autocast,
            clip=self.config.clip,
            scaler=self.scaler,
        )
        average_in(self.average, self.model, self.position.step, self.config.ema_decay)
        return value

    def close_epoch(self) -> tuple[dict[str, Any], bool]:
        """Validate if it is time to, keep the best, and give the epoch's numbers."""
        self._check_weights()
        at = self.position
        at.epoch += 1
        spent = max(self.seconds - self._epoch_began, 1e-9)
        row: dict[str, Any] = {
            "epoch": at.epoch,
            "step": at.step,
            "loss": at.loss_sum / max(at.batch, 1),
            "learning_rate": at.rate,
            "images_per_second": self._seen / spent,
            "waiting_share": self._waited / spent,
        }
        at.batch, at.loss_sum = 0, 0.0
        better = False
        last, validates = self.is_last, bool(self.setup.split.validation)
        due = validates and at.epoch % self.config.validate_every == 0
        self._concluded = last or due
        if last and not validates:
            at.best_epoch = at.epoch
            self._save_best(self._kept(), {}, self.prior_calibration)
        elif self._concluded:
            network = self._kept()
            found = self._validate(network)
            row |= {f"dice_{name}": found.mean(name) for name in self.setup.regions}
            row["dice"] = found.score
            better = found.score > at.best
            # What has not trained yet may still help, so patience waits for the last phase.
            waits = better or not self._settled
            at.stale = 0 if waits else at.stale + 1
            if better:
                at.best, at.best_epoch, at.dice = found.score, at.epoch, found.dice
                calibration = {
                    name: calibrate(found.tallies[name], found.dice_by_min_share[name], otherwise)
                    for name, otherwise in self.prior_calibration.items()
                }
                self._save_best(network, found.dice, calibration)
        row["seconds"] = self.seconds
        self.rows.append(row)
        return row, better

    def _save_best(
        self,
        network: SegNet,
        dice: dict[str, dict[str, float]],
        calibration: dict[str, Calibration],
    ) -> None:
        at = self.position
        state = {"epoch": at.epoch, "step": at.step, "dice": dice, "calibration": calibration}
        self.run.save("best", Checkpoint(_on_cpu(network), {}, state))

    def save(self, ended: str = "") -> None:
        """Write "last": weights, their average, optimiser and position in one atomic step."""
        self._check_weights()
        self.position.seconds = self.seconds
        optimiser = runs.optimiser_tensors(self.model, self.optimiser)
        if self.scaler is not None:
            self.position.scaler = self.scaler.state_dict()
        state = {"position": dict(self.position.__dict__), "ended": ended}
        average = _on_cpu(self.average)
        self.run.save("last", Checkpoint(_on_cpu(self.model), optimiser, state, average))
        self._saved = self.seconds

    def _batches(self) -> Iterator[Pair]:
        """What is left of the epoch under way; each step has a draw of its own."""
        return self._augmented(self.plans[self.position.batch :], "augment", self.position.step)

    def _augmented(
        self, plans: Sequence[BatchPlan], purpose: str, first: int = 0
    ) -> Generator[Pair, None, None]:
        """Batches on the device, read ahead, augmented by the draws ``purpose`` from ``first``."""
        setup, backend = self.setup, self.backend

        def read(plan: BatchPlan) -> Pair:
            batch = self.store.read(
                plan.refs, modalities=setup.modalities, regions=setup.regions, frame=setup.frame
            )
            return (
                backend.pin(torch.from_numpy(batch.image)),
                backend.pin(torch.from_numpy(batch.target)),
            )

        for step, (image, target) in enumerate(self._waiting(prefetch(plans, read)), first):
            generator = rng.generator(self.config.seed, purpose, step)
            drawn = augment.draw(generator, self.config.augment, len(image), image.shape[1])
            yield augmented(backend, drawn, image, target, on_cpu=bool(self.augments_on_cpu))

    def _waiting(self, batches: Iterator[Pair]) -> Iterator[Pair]:
        """The batches, counting the time that none was ready."""
        while True:
            asked = time.monotonic()
            batch = next(batches, None)
            self._waited += time.monotonic() - asked
            if batch is None:
                return
            yield batch

    @property
    def _settled(self) -> bool:
        """Whether what trains, and at which resolution, stays as it is from here on."""
        return self.phase is self.phases[-1] and not self.at_half

    def _keep_pace(self) -> Iterator[Notice]:
        """Let train what should by now, as fast and as fine as it should; tell what changes."""
        if self.epochs:
            progress = self.position.step / (self.epochs * len(self.plans))
        else:
            progress = self.seconds / (self.config.budget or math.inf)
        config = self.config
        rate = finetune.rate(self.phases, progress, config.learning_rate, config.warmup)
        self.position.rate = rate
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        half_before, self.at_half = self.at_half, progress < self.low_res_share_of
        if self.at_half is not half_before:
            self.compiling.changed()
            how = "at half their resolution at first" if self.at_half else "at full resolution"
            yield Notice(f"at {progress:.0%} of the training: slices {how}")
        before, self.phase = self.phase, finetune.at(self.phases, progress)
        if self.phase is not before:
            freeze(self.model, self.phase.frozen)
            self.compiling.changed()
            yield Notice(f"at {progress:.0%} of the training: {self.phase.trains} trains")

    def _finite_sum(self, losses: Sequence[Tensor]) -> float:
        """The sum of the losses since the last look."""
        values = torch.stack(list(losses))
        total = float(values.sum())
        if not math.isfinite(total):
            first = int((~values.cpu().isfinite()).nonzero()[0])
            raise self._diverged(f"the loss became {total:g}", ago=len(values) - 1 - first)
        return total

    def _check_weights(self) -> None:
        """A step may spoil the weights although its own loss, taken before it, was finite."""
        state = self.model.state_dict()
        if not bool(torch.stack([tensor.isfinite().all() for tensor in state.values()]).all()):
            (name, *_) = (name for name, tensor in state.items() if not tensor.isfinite().all())
            raise self._diverged(f"{name}, a weight, became infinite or NaN")

    def _diverged(self, what: str, ago: int = 0) -> DivergedError:
        """The error for what went wrong ``ago`` steps before the last one, whose batch it names."""
        at = self.position
        step = at.step - ago
        found: list[Suspect] = []
        if step:
            # Made again as it was, and looked at with weights that can still tell.
            plan = self.plans[at.batch - 1 - ago]
            with closing(self._augmented([plan], "augment", step - 1)) as batches:
                image, target = next(batches)
            self.model.load_state_dict(self.run.load("last").weights)
            found = suspects(plan.refs, image, target, self.model, self.loss)
        return self._told(f"{what} at epoch {at.epoch + 1}, step {step}", found)

    def _told(self, what: str, found: Sequence[Suspect]) -> DivergedError:
        in_full = self.backend.dtype == torch.float32
        rate = self.config.learning_rate
        return diverged(what, found, self.run.path, rate=rate, in_full=in_full)

    def _advanced(self) -> Advanced:
        at = self.position
        speed = self._seen / max(self.seconds - self._epoch_began, 1e-9)
        numbers = {"loss": at.loss_sum / at.batch, "images/s": speed}
        if at.best >= 0:
            numbers["Dice"] = at.best
        done = at.step if self.epochs else int(self.seconds)
        return Advanced("train", min(done, self.total), numbers)

    def _kept(self) -> SegNet:
        """The average as a run gives it: with statistics of its own, not averaged ones."""
        network = copy.deepcopy(self.average)
        count = min(self.config.norm_batches, len(self.plans))
        if self.config.ema_decay and count:
            # Always the first epoch's, so that a resumed training takes the same.
            plans = self.setup.plan(self.config, epoch=0)[:count]
            images = (image for image, _ in self._augmented(plans, "statistics"))
            # A stage that never trains keeps what its weights were trained with.
            never = self.phases[-1].frozen
            batchnorm.reestimate_statistics(
                network, images, autocast=self.backend.autocast, but=never
            )
        return network

    def _validate(self, network: SegNet) -> Validation:
        found = validate(
            network,
            self.backend,
            self.store,
            self.setup.split.validation,
            modalities=self.setup.modalities,
            regions=self.setup.regions,
            frame=self.setup.frame,
            levels=tuple(item.own_threshold for item in self.prior_calibration.values()),
        )
        at = self.position
        if found.non_finite:
            cases = ", ".join(found.non_finite)
            what = f"after epoch {at.epoch} the network's output for {cases} is infinite or NaN"
            raise self._told(what, [Suspect(ref, True, math.nan) for ref in found.corrupt_slices])
        path = self.run.within("images", f"image_{at.epoch:04d}_{at.step:06d}.png")
        pictures.grid(path, found.rows, self.setup.modalities, tuple(self.setup.regions))
        return found


def optimiser_of(
    model: SegNet, config: TrainConfig, start: Mapping[str, Tensor] | None = None
) -> torch.optim.AdamW:
    """The optimiser of a training, of what is not frozen; `start` as `fit` has it."""
    policy = config.transfer
    groups = finetune.parameter_groups(
        model,
        weight_decay=config.weight_decay,
        layer_decay=policy.layer_decay if policy else 1.0,
        anchored=start or {},
    )
    optimiser = torch.optim.AdamW(groups, lr=config.learning_rate)
    if policy and start:
        finetune.draw_to_start(optimiser, model, start, policy.l2_sp)
    return optimiser


def _on_cpu(model: SegNet) -> dict[str, Tensor]:
    return {k: v.detach().to("cpu") for k, v in model.state_dict().items()}


def _board(run: Run, position: Position | None) -> Board:
    # What an earlier process wrote beyond the checkpoint did not happen.
    return Board(run.path / "tensorboard", position.step if position else 0)


def _log(run: Run, board: Board, rows: list[dict[str, Any]]) -> None:
    run.write_log(rows)
    row = rows[-1]
    board.add(row["step"], {k: v for k, v in row.items() if k not in ("epoch", "step")})
