"""Train a SegNet on a store: a run folder with weights, numbers and pictures."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from mriseg.backends.base import Backend
from mriseg.core import augment, pretrained, rng
from mriseg.core.config import DEFAULT_EPOCHS, TrainConfig, parse
from mriseg.core.losses import build_loss, parse_loss
from mriseg.core.sampling import BatchPlan, Split, plan_epoch
from mriseg.core.segnet import SegNet, SegNetConfig, build, freeze, init_weights
from mriseg.core.steps import learning_rate, train_step
from mriseg.errors import DivergedError, RunError
from mriseg.io import pictures, runs
from mriseg.io.loader import prefetch
from mriseg.io.runs import Checkpoint, Manifest, Run
from mriseg.io.store import Batch, Store, open_store
from mriseg.io.weights import load_encoder_weights
from mriseg.recipes.events import Advanced, Began, Measured, Notice, Recipe, Wrote
from mriseg.recipes.setup import Setup, positive_weight, settle, versions
from mriseg.recipes.validate import Validation, validate

# Steps between two looks at the loss: each look waits for the device.
_LOOK_EVERY = 10


@dataclass(frozen=True)
class TrainReport:
    """What a training gave.

    Attributes:
        run: its folder.
        best: the best validation score (mean 3-D Dice over patients and regions).
        best_epoch: when, counted from 1.
        epochs: how many were finished.
        seconds: spent training and validating.
        reason: why it stopped.
        dice: case -> region -> Dice of the best validation.
    """

    run: Path
    best: float
    best_epoch: int
    epochs: int
    seconds: float
    reason: str
    dice: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Start:
    """Where a training begins other than at random; made by a transfer.

    Attributes:
        weights: the model's initial state.
        frozen: stages that keep their weights and BatchNorm statistics.
        seen: identities of the cases that these weights were trained on.
        parent: the run it comes from and what was kept, for the manifest.
    """

    weights: Mapping[str, Tensor]
    frozen: tuple[str, ...]
    seen: tuple[tuple[str, str, str], ...]
    parent: dict[str, Any]


@dataclass
class _Position:
    """How far a training is; what a checkpoint holds besides tensors."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    best: float = -1.0
    best_epoch: int = 0
    stale: int = 0
    dice: dict[str, dict[str, float]] = field(default_factory=dict)


def train(
    store: Store,
    config: TrainConfig,
    backend: Backend,
    *,
    out: Path | None = None,
    start: Start | None = None,
) -> Recipe[TrainReport]:
    """Train on ``store`` from the beginning.

    Args:
        store: an open store.
        config: all that decides the training but data and machine.
        backend: where to compute.
        out: the run folder; None: a new one under ``runs/``, named by the time and the store.
        start: initial weights and frozen stages, for a transfer.

    Returns:
        The best validation and where the run is.

    Raises:
        InputError, ConfigError: the store and the configuration do not fit; before the first step.
        OutputError: the run folder is taken or cannot be written.
        DivergedError: the loss became NaN or infinite; the last good checkpoint is kept.
    """
    setup = settle(store, config)
    for text in (*backend.notes, *setup.notices):
        yield Notice(text)
    model_config = SegNetConfig(
        in_channels=len(setup.modalities), classes=len(setup.regions), width=config.width
    )
    model = build(model_config, backend.ops)
    prior = sum(setup.positive_share) / len(setup.positive_share)
    init_weights(model, rng.generator(config.seed, "weights"), prior=prior)
    if config.encoder_weights is not None:
        weights = load_encoder_weights(config.encoder_weights)
        model.load_state_dict(
            pretrained.encoder_from_vgg16_bn(weights, model_config, setup.modalities), strict=False
        )
        yield Notice(f"the encoder starts from {config.encoder_weights}")
    if start is not None:
        model.load_state_dict(dict(start.weights))
    manifest = Manifest(
        config=config.model_dump(mode="json"),
        model=model_config.model_dump(mode="json"),
        modalities=setup.modalities,
        regions=setup.regions,
        unit=setup.unit,
        frame=setup.frame,
        incomplete=setup.incomplete,
        store=str(store.location),
        train=setup.split.train,
        validation=setup.split.validation,
        seen=(*_identities(setup), *(start.seen if start else ())),
        versions=versions(),
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        parent=start.parent if start else None,
    )
    path = out or runs.fresh_path(Path("runs"), store.name, datetime.now())
    run = runs.create_run(path, manifest)
    frozen = start.frozen if start else ()
    return (yield from _fit(run, store, config, backend, setup, model, frozen, _Position(), {}))


def resume(run: Run, backend: Backend, store: Store | None = None) -> Recipe[TrainReport]:
    """Go on with a training that was stopped, as if it had not been.

    Args:
        run: its folder; the configuration, split and position are there.
        backend: where to compute; on another device numbers differ by rounding.
        store: where the store is now; None: where it was.

    Raises:
        RunError: the run ended already.
        InputError: the store is gone, or lacks a case that the run was started with.
    """
    config = parse(TrainConfig, run.manifest.config)
    opened = store or open_store(run.manifest.store)
    setup = settle(opened, config, Split(run.manifest.train, run.manifest.validation))
    setup = replace(setup, frame=run.manifest.frame)
    model = build(parse(SegNetConfig, run.manifest.model), backend.ops)
    position, optimiser = _Position(), {}
    frozen = tuple((run.manifest.parent or {}).get("frozen", ()))
    if not run.has("last"):
        raise RunError(f"{run.path} was stopped before its first checkpoint; start it anew")
    checkpoint = run.load("last")
    if checkpoint.state.get("ended"):
        raise RunError(
            f"{run.path} has ended ({checkpoint.state['ended']}); train a new run, or carry it "
            f"over with: mriseg transfer --from {run.path}"
        )
    model.load_state_dict(checkpoint.weights)
    position = _Position(**checkpoint.state["position"])
    optimiser = checkpoint.optimiser
    yield Notice(f"going on with {run.path} at epoch {position.epoch + 1}, step {position.step}")
    return (
        yield from _fit(run, opened, config, backend, setup, model, frozen, position, optimiser)
    )


def _fit(
    run: Run,
    store: Store,
    config: TrainConfig,
    backend: Backend,
    setup: Setup,
    model: SegNet,
    frozen: Sequence[str],
    position: _Position,
    optimiser_state: Mapping[str, Tensor],
) -> Recipe[TrainReport]:
    freeze(model, frozen)
    model = backend.place_model(model)  # type: ignore[assignment]
    optimiser = torch.optim.AdamW(
        _groups(model, config.weight_decay), lr=config.learning_rate, fused=False
    )
    runs.restore_optimiser(model, optimiser, optimiser_state)
    loss = build_loss(
        parse_loss(config.loss), backend.place(positive_weight(config, setup.positive_share))
    )
    scaler = torch.amp.GradScaler(backend.device.type) if backend.dtype == torch.float16 else None
    plans = _plans(setup, config, position.epoch)
    epochs = config.epochs or (None if config.budget else DEFAULT_EPOCHS)
    clock = _Clock(position.seconds)
    rows = [row for row in run.read_log() if row["epoch"] <= position.epoch]
    if position.step == 0:
        # From the first moment there is something to go on from.
        run.save("last", _checkpoint(model, optimiser, position))
    yield Notice(
        f"run {run.path}: {len(setup.split.train)} cases train, {len(setup.split.validation)} "
        f"validate; {'+'.join(setup.modalities)} -> {', '.join(setup.regions)}; "
        f"{setup.frame[0]}x{setup.frame[1]}, {len(plans)} steps of {config.batch_size} an epoch"
    )
    total = epochs * len(plans) if epochs else int(config.budget or 0)
    yield Began("train", total, "step" if epochs else "second")

    saved = clock.seconds
    reason = ""
    with closing(SummaryWriter(str(run.path / "tensorboard"), purge_step=position.step)) as board:
        while not reason:
            began, waited, seen = clock.seconds, 0.0, 0
            sums: list[Tensor] = []
            todo = plans[position.batch :]
            batches = _augmented(store, setup, config, backend, todo, position.step)
            model.train()
            while True:
                asked = time.monotonic()
                pair = next(batches, None)
                waited += time.monotonic() - asked
                if pair is None:
                    break
                progress = _progress(config, clock.seconds, position.step, len(plans), epochs)
                rate = learning_rate(progress, config.learning_rate, config.warmup)
                for group in optimiser.param_groups:
                    group["lr"] = rate
                value = train_step(
                    model, optimiser, loss, *pair,
                    autocast=backend.autocast, clip=config.clip, scaler=scaler,
                )  # fmt: skip
                sums.append(value)
                position.batch += 1
                position.step += 1
                seen += len(pair[0])
                position.seconds = clock.seconds
                if position.step % _LOOK_EVERY == 0 or position.batch == len(plans):
                    position.loss_sum += _sum_finite(sums, run, position)
                    sums.clear()
                    speed = seen / max(clock.seconds - began, 1e-9)
                    numbers = {"loss": position.loss_sum / position.batch, "images/s": speed}
                    if position.best >= 0:
                        numbers["Dice"] = position.best
                    done = position.step if epochs else int(clock.seconds)
                    yield Advanced("train", min(done, total), numbers)
                    if clock.seconds - saved > config.checkpoint_every:
                        run.save("last", _checkpoint(model, optimiser, position))
                        saved = clock.seconds
                if not epochs and config.budget and clock.seconds >= config.budget:
                    break

            # The epoch is over (or the time): validate, log, keep, and decide whether to go on.
            position.loss_sum += _sum_finite(sums, run, position)
            spent = max(clock.seconds - began, 1e-9)
            position.epoch += 1
            out_of_time = not epochs and clock.seconds >= (config.budget or math.inf)
            last = out_of_time or position.epoch == epochs
            row: dict[str, Any] = {
                "epoch": position.epoch,
                "step": position.step,
                "loss": position.loss_sum / max(position.batch, 1),
                "learning_rate": optimiser.param_groups[0]["lr"],
                "images_per_second": seen / spent,
                "waiting_share": waited / spent,
            }
            if last or position.epoch % config.validate_every == 0:
                found = validate(
                    model, backend, store, setup.split.validation,
                    modalities=setup.modalities, regions=setup.regions, frame=setup.frame,
                )  # fmt: skip
                row |= {f"dice_{name}": found.mean(name) for name in setup.regions}
                row["dice"] = found.score
                better = found.score > position.best
                position.stale = 0 if better else position.stale + 1
                if better:
                    position.best, position.best_epoch = found.score, position.epoch
                    position.dice = found.dice
                _picture(run, setup, found, position)
                if better:
                    run.save("best", Checkpoint(_weights(model), {}, {"epoch": position.epoch,
                             "step": position.step, "dice": found.dice}))  # fmt: skip
            position.batch, position.loss_sum, position.seconds = 0, 0.0, clock.seconds
            row["seconds"] = position.seconds
            rows.append(row)
            _log(run, board, rows)
            if last:
                reason = f"all {epochs} epochs are done" if epochs else "the budget is spent"
            elif position.stale >= config.patience:
                reason = f"no better Dice in {position.stale} validations"
            run.save("last", _checkpoint(model, optimiser, position, ended=reason))
            saved = clock.seconds
            yield Measured(
                "epoch", position.epoch, {k: v for k, v in row.items() if k not in ("epoch",)},
                note="best so far" if position.best_epoch == position.epoch else "",
            )  # fmt: skip
            if not reason:
                plans = _plans(setup, config, position.epoch)
    yield Wrote(run.path, "run")
    return TrainReport(
        run=run.path,
        best=position.best,
        best_epoch=position.best_epoch,
        epochs=position.epoch,
        seconds=position.seconds,
        reason=reason,
        dice=position.dice,
    )


def _identities(setup: Setup) -> tuple[tuple[str, str, str], ...]:
    train = setup.index.only(setup.split.train)
    return tuple((case.name, case.patient, case.content) for case in train.cases)


class _Clock:
    """Seconds spent on this training, over all the times it was resumed."""

    def __init__(self, before: float) -> None:
        self._start = time.monotonic() - before

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start


def _plans(setup: Setup, config: TrainConfig, epoch: int) -> list[BatchPlan]:
    return plan_epoch(
        setup.index.only(setup.split.train),
        regions=tuple(setup.regions),
        batch_size=config.batch_size,
        tumour_fraction=config.tumour_fraction,
        slices=config.slices_per_epoch,
        seed=config.seed,
        epoch=epoch,
    )


def _progress(
    config: TrainConfig, seconds: float, step: int, steps: int, epochs: int | None
) -> float:
    if epochs:
        return step / (epochs * steps)
    return seconds / (config.budget or math.inf)


def _augmented(
    store: Store,
    setup: Setup,
    config: TrainConfig,
    backend: Backend,
    plans: Sequence[BatchPlan],
    step: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches on the device, read ahead, each augmented by the draw that its step has."""

    def read(plan: BatchPlan) -> Batch:
        return store.read(
            plan.refs, modalities=setup.modalities, regions=setup.regions, frame=setup.frame
        )

    for number, batch in enumerate(prefetch(plans, read), start=step):
        image = backend.place(torch.from_numpy(batch.image))
        target = backend.place(torch.from_numpy(batch.target))
        generator = rng.generator(config.seed, "augment", number)
        drawn = augment.draw(generator, config.augment, len(image), image.shape[1])
        image, target = augment.apply(drawn, image, target)
        yield image.contiguous(memory_format=backend.memory_format), target


def _groups(model: SegNet, decay: float) -> list[dict[str, Any]]:
    """Trainable parameters; biases and BatchNorm's are not decayed."""
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _sum_finite(losses: Sequence[Tensor], run: Run, position: _Position) -> float:
    if not losses:
        return 0.0
    total = float(torch.stack(list(losses)).sum())
    if not math.isfinite(total):
        raise DivergedError(
            f"the loss became {total} at or before step {position.step} of epoch "
            f"{position.epoch + 1}; the last good checkpoint is kept in {run.path}. "
            f"Try a lower --learning-rate, or --precision fp32"
        )
    return total


def _weights(model: SegNet) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu") for name, tensor in model.state_dict().items()}


def _checkpoint(
    model: SegNet, optimiser: torch.optim.Optimizer, position: _Position, ended: str = ""
) -> Checkpoint:
    return Checkpoint(
        weights=_weights(model),
        optimiser=runs.optimiser_tensors(model, optimiser),
        state={"position": dict(position.__dict__), "ended": ended},
    )


def _picture(run: Run, setup: Setup, found: Validation, position: _Position) -> None:
    path = run.path / "images" / f"image_{position.epoch:04d}_{position.step:06d}.png"
    pictures.grid(path, found.rows, modalities=setup.modalities, regions=tuple(setup.regions))


def _log(run: Run, board: SummaryWriter, rows: list[dict[str, Any]]) -> None:
    run.write_log(rows)
    row = rows[-1]
    for key, value in row.items():
        if key not in ("epoch", "step"):
            board.add_scalar(key, value, row["step"])  # type: ignore[no-untyped-call]
    board.flush()  # type: ignore[no-untyped-call]
