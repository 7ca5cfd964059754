"""Train a SegNet on a store, from the beginning; `mriseg.recipes.resume` continues it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from mriseg.backends import Backend, describe
from mriseg.backends.ranks import Ranks
from mriseg.core import pretrained, rng
from mriseg.core.config import TrainConfig
from mriseg.core.heads import counted_heads
from mriseg.core.identity import Identity
from mriseg.core.segnet import SegNet, build, init_weights_
from mriseg.core.wording import agreeing, counted
from mriseg.events import Notice, Recipe
from mriseg.io import runs
from mriseg.io.cross_validations import write_calibration
from mriseg.io.disk.checksums import write_sealed_json
from mriseg.io.disk.locks import locked
from mriseg.io.location import Location
from mriseg.io.runs import Checkpoint, Manifest, Run, open_run
from mriseg.io.runs.encoder_weights import load_encoder_weights
from mriseg.io.store import Store
from mriseg.recipes.fit import TrainReport, fit
from mriseg.recipes.given_calibration import with_given
from mriseg.recipes.keeper import Position
from mriseg.recipes.setup import Setup, plan_training, versions
from mriseg.recipes.together import check_together
from mriseg.recipes.width import with_width

__all__ = ["Start", "TrainReport", "train"]


@dataclass(frozen=True)
class Start:
    """Where a training begins other than at random; made by a transfer.

    Attributes:
        setup: what was settled to make it.
        weights: the model's initial state.
        carried: parameters that have been trained before.
        seen: identities of the cases that these weights were trained on.
        parent: the run it comes from and how it is carried over, for the manifest.
        report: what was kept, adapted and re-initialised, for the run's ``transfer.json``.
        seconds: that making it took, which a budget includes.
    """

    setup: Setup
    weights: Mapping[str, Tensor]
    carried: tuple[str, ...]
    seen: tuple[Identity, ...]
    parent: dict[str, Any]
    report: dict[str, Any]
    seconds: float = 0.0


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
        start: initial weights, for a transfer; ``config.transfer`` says how it proceeds.

    Returns:
        The best validation and where the run is.

    Raises:
        InputError, ConfigError: the store and the configuration do not fit; before the first step.
        OutputError: the run folder is taken or cannot be written.
        BusyError: another process is training there.
        DivergedError: the loss became NaN or infinite; the last good checkpoint is kept.
    """
    began = time.monotonic() - (start.seconds if start else 0.0)
    setup = with_given(start.setup if start else plan_training(store, config))
    for text in (*backend.notes, *setup.notices):
        yield Notice(text)
    setup = yield from with_width(setup, backend)
    config = setup.config
    network = _initial(setup, backend)
    if config.encoder_weights is not None:
        yield Notice(f"the encoder starts from {config.encoder_weights}")
    if start is not None:
        network.load_state_dict(dict(start.weights))
    manifest, ranks = _manifest(store, setup, backend, start), backend.ranks
    check_together(ranks, setup)
    path = out or _new_path(store, ranks)
    anchors: dict[str, Tensor] = {}
    if start is not None and anchored(config):
        anchors = {name: start.weights[name] for name in start.carried}
    with locked(path, "train") if ranks.first else nullcontext():
        run = Run(path, manifest)
        if ranks.first:
            run = yield from _created(path, manifest, start, anchors)
            if setup.given is not None:
                # Kept with it, since the cross-validation may be gone when this is resumed.
                write_calibration(path, setup.given)
        yield Notice(f"run {run.path}: {_described(setup)}")
        # A budget is for all of it.
        spent = time.monotonic() - began
        position = Position(seconds=spent, paused=spent)
        work = fit(run, store, setup, backend, network, anchors=anchors, position=position)
        return (yield from work)


def _new_path(store: Store, ranks: Ranks) -> Path:
    """A new folder for a run, the first process's, since each has its own time."""
    new = runs.fresh_path(runs.RUNS, store.name, datetime.now()) if ranks.first else Path()
    return Path(ranks.agree(str(new)))


def _created(
    path: Path, manifest: Manifest, start: Start | None, anchors: dict[str, Tensor]
) -> Recipe[Run]:
    """The run's folder, with all that is in it before the first checkpoint."""
    if _stopped_at_once(path):
        yield Notice(f"{path} was stopped before its first checkpoint: it starts again")
        runs.discard(open_run(path))
    run = runs.create_run(path, manifest)
    if start is not None:
        write_sealed_json(path / "transfer.json", start.report)
    if anchors:
        # In this run too, since the one that they are from may be gone when this is resumed.
        run.save("start", Checkpoint(anchors, {}, {}))
    return run


def _initial(setup: Setup, backend: Backend) -> SegNet:
    """The network with its initial weights, on the CPU."""
    config = setup.config
    shape = setup.task.network(setup.width)
    network = build(shape, backend.ops)
    init_weights_(network, rng.generator(config.seed, "weights"), prior=setup.prior)
    if config.encoder_weights is not None:
        weights = load_encoder_weights(config.encoder_weights)
        encoder = pretrained.encoder_from_vgg16_bn(weights, shape, setup.task.modalities)
        network.load_state_dict(encoder, strict=False)
    return network


def _manifest(store: Store, setup: Setup, backend: Backend, start: Start | None) -> Manifest:
    config, task = setup.config, setup.task
    train, stored = setup.index.only(setup.split.train).cases, store.cases()
    return Manifest(
        config=config.model_dump(mode="json"),
        model=task.network(setup.width).model_dump(mode="json"),
        modalities=task.modalities,
        regions=task.regions,
        unit=setup.unit,
        frame=task.frame,
        incomplete=setup.incomplete or config.augment.drop_modality > 0,
        store=str(Location.of(store.location).absolute),
        train=setup.split.train,
        validation=setup.split.validation,
        # Once each, though a transfer may train on its source's own cases.
        seen=tuple(dict.fromkeys((*map(Identity.of, train), *(start.seen if start else ())))),
        versions=versions(),
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        backend=describe(backend),
        parent=start.parent if start else None,
        spacing=task.spacing,
        preparation=store.spec.preparation,
        heads=counted_heads([stored[name].head for name in setup.split.train]),
    )


def _described(setup: Setup) -> str:
    task, held = setup.task, len(setup.split.validation)
    train = len(setup.split.train)
    return (
        f"{counted(train, 'case')}{_whose(setup, setup.split.train)} "
        f"{agreeing(train, 'trains', 'train')}, "
        f"{held or 'none'}{_whose(setup, setup.split.validation)} "
        f"{agreeing(held, 'validates', 'validate')}; "
        f"{'+'.join(task.modalities)} -> {', '.join(task.regions)}; "
        f"slices of {task.frame[0]}x{task.frame[1]}"
    )


def _whose(setup: Setup, names: Sequence[str]) -> str:
    """Of how many patients cases are, where some are visits of one."""
    entries = {case.name: case.patient for case in setup.index.cases}
    patients = {entries[name] for name in names}
    return f" of {counted(len(patients), 'patient')}" if len(patients) < len(names) else ""


def _stopped_at_once(path: Path) -> bool:
    """Whether there is a run that never got as far as to have weights."""
    if not (path / "run.json").exists():
        return False
    run = open_run(path)
    return not (run.has("best") or run.has("last"))


def anchored(config: TrainConfig) -> bool:
    """Whether L2-SP draws the weights to those that they began with."""
    return config.transfer is not None and config.transfer.l2_sp > 0
