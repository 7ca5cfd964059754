"""Train a SegNet on a store: from the beginning, or on from where a run was stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from torch import Tensor

from mriseg.backends import Backend, describe
from mriseg.core import pretrained, rng
from mriseg.core.config import TrainConfig, parse
from mriseg.core.identity import Identity
from mriseg.core.regions import join_labels
from mriseg.core.sampling import Split
from mriseg.core.segnet import SegNet, build, init_weights_
from mriseg.core.wording import agreeing, counted
from mriseg.errors import ConfigError, InputError, RunError
from mriseg.events import Notice, Recipe
from mriseg.io import runs
from mriseg.io.disk.checksums import write_sealed_json
from mriseg.io.disk.locks import locked
from mriseg.io.disk.schemas import checked
from mriseg.io.location import Location
from mriseg.io.runs import Checkpoint, Manifest, Run, open_run
from mriseg.io.runs.encoder_weights import load_encoder_weights
from mriseg.io.store import Store, open_store
from mriseg.recipes.fit import TrainReport, fit
from mriseg.recipes.keeper import Position, trainer_state
from mriseg.recipes.load import network_of
from mriseg.recipes.setup import Setup, plan_training, versions
from mriseg.recipes.together import check_together

__all__ = ["Start", "TrainReport", "begun_or_resumed", "resume", "train", "train_or_resume"]

FREE_SETTINGS = frozenset({"checkpoint_every"})
"""Settings that decide no number, so that they may change between two sittings."""


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
    setup = start.setup if start else plan_training(store, config)
    for text in (*backend.notes, *setup.notices):
        yield Notice(text)
    network = _initial(setup, backend)
    if config.encoder_weights is not None:
        yield Notice(f"the encoder starts from {config.encoder_weights}")
    if start is not None:
        network.load_state_dict(dict(start.weights))
    manifest, ranks = _manifest(store, setup, backend, start), backend.ranks
    check_together(ranks, setup)
    # Each rank has its own time.
    new = runs.fresh_path(runs.RUNS, store.name, datetime.now())
    path = out or Path(ranks.agree(str(new)))
    anchors: dict[str, Tensor] = {}
    if start is not None and _anchored(config):
        anchors = {name: start.weights[name] for name in start.carried}
    with locked(path, "train") if ranks.first else nullcontext():
        run = Run(path, manifest)
        if ranks.first:
            run = yield from _created(path, manifest, start, anchors)
        yield Notice(f"run {run.path}: {_described(setup)}")
        # A budget is for all of it.
        spent = time.monotonic() - began
        position = Position(seconds=spent, paused=spent)
        work = fit(run, store, setup, backend, network, anchors=anchors, position=position)
        return (yield from work)


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
    shape = setup.task.network(config.width)
    network = build(shape, backend.ops)
    init_weights_(network, rng.generator(config.seed, "weights"), prior=setup.prior)
    if config.encoder_weights is not None:
        weights = load_encoder_weights(config.encoder_weights)
        encoder = pretrained.encoder_from_vgg16_bn(weights, shape, setup.task.modalities)
        network.load_state_dict(encoder, strict=False)
    return network


def _manifest(store: Store, setup: Setup, backend: Backend, start: Start | None) -> Manifest:
    config, task = setup.config, setup.task
    train = setup.index.only(setup.split.train).cases
    return Manifest(
        config=config.model_dump(mode="json"),
        model=task.network(config.width).model_dump(mode="json"),
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


def resume(run: Run, backend: Backend, store: Store | None = None) -> Recipe[TrainReport]:
    """Continue a training that was stopped, as if it had not been.

    Args:
        run: its folder; the configuration, split and position are there.
        backend: where to compute; on another device numbers differ by rounding.
        store: where the store is now; None: where it was.

    Raises:
        RunError: the run ended already.
        InputError: the store is gone, or lacks a case that the run was started with.
        BusyError: another process is training it.
    """
    if run.is_shared:
        raise RunError(
            f"{run.path} is a model alone: its training is not here to resume; transfer from it "
            f"with: mriseg transfer --from {run.path}"
        )
    with locked(run.path, "train") if backend.ranks.first else nullcontext():
        return (yield from _resumed(run, backend, store))


def begun_or_resumed(
    path: Path, store: Store, backend: Backend, begin: Callable[[], Recipe[Any]]
) -> Recipe[Run]:
    """The run in ``path``, trained to its end: begun, or resumed where it was stopped.

    Args:
        path: the run folder.
        store: what it trains on.
        backend: where to compute.
        begin: a training into that folder.

    Raises:
        RunError: the run is damaged.
    """
    if (path / "run.json").exists():
        run = open_run(path)
        if run.has("last"):
            if not run.ended:
                yield from resume(run, backend, store)
            return open_run(path)
        runs.discard(run)
    yield from begin()
    return open_run(path)


def train_or_resume(
    store: Store, config: TrainConfig, backend: Backend, *, out: Path
) -> Recipe[TrainReport]:
    """Train on ``store``, from the beginning or from where the run in ``out`` was stopped.

    So that the same call is right each time, as in a job that a cluster starts again.

    Args:
        store: an open store.
        config: of the training; of one that goes on, what it was started with.
        backend: where to compute.
        out: the run folder. A run there that has ended is left as it is.

    Raises:
        ConfigError: the run there was started with other settings.
        RunError: what is there is damaged, or a model alone.
        InputError, OutputError, BusyError, DivergedError: see `train` and `resume`.
    """
    ranks = backend.ranks
    # The first process may have begun the run before another looks.
    if not ranks.agree(ranks.first and _has_checkpoint(out)):
        return (yield from train(store, config, backend, out=out))
    run = open_run(out)
    if differences := _other_settings(run.manifest, config):
        raise ConfigError(
            f"{out} was started with other settings: {', '.join(differences)}. A run continues "
            f"with those that it was started with: give the same ones, or another --out"
        )
    if reason := ranks.agree(run.ended if ranks.first else ""):
        yield Notice(f"{out} has ended ({reason}): there is nothing left to do")
        return _report_of(run)
    return (yield from resume(run, backend, store))


def _has_checkpoint(path: Path) -> bool:
    return (path / "run.json").exists() and open_run(path).has("last")


def _other_settings(manifest: Manifest, config: TrainConfig) -> list[str]:
    """Settings that decide the training and that a run was not started with."""
    before, now = manifest.config, config.model_dump(mode="json")
    return [
        f"{name} = {before.get(name)!r}, now {now.get(name)!r}"
        for name in dict.fromkeys([*before, *now])
        if name not in FREE_SETTINGS and before.get(name) != now.get(name)
    ]


def _report_of(run: Run) -> TrainReport:
    """What a training that has ended gave."""
    state = run.load("last").state
    at = _position(run, state)
    best = at.best if at.dice else None
    return TrainReport(
        run.path, best, at.best_epoch, at.epoch, at.seconds, str(state["ended"]), at.dice
    )


def _position(run: Run, state: Mapping[str, Any]) -> Position:
    try:
        return checked(Position, state.get("position"))
    except ValueError as error:
        raise RunError(f"{run.path}/last.safetensors is damaged: {error}") from None


def _resumed(run: Run, backend: Backend, store: Store | None) -> Recipe[TrainReport]:
    if not run.has("last"):
        raise RunError(f"{run.path} was stopped before its first checkpoint; start it again")
    checkpoint = run.load("last")
    if checkpoint.state.get("ended"):
        raise RunError(
            f"{run.path} has ended ({checkpoint.state['ended']}); train a new run, or carry it "
            f"over with: mriseg transfer --from {run.path}"
        )
    manifest = run.manifest
    # What was chosen when the run began: cases that came since must not change it.
    chosen = {"modalities": manifest.modalities, "regions": tuple(manifest.regions)}
    config = parse(TrainConfig, {**manifest.config, **chosen})
    opened = store or open_store(manifest.store)
    setup = plan_training(opened, config, Split(manifest.train, manifest.validation))
    task = replace(setup.task, frame=manifest.frame, spacing=manifest.spacing)
    setup = replace(setup, task=task)
    _check_same(run, setup, opened)
    network = network_of(run, checkpoint.weights, backend.ops)
    try:
        position = checked(Position, checkpoint.state.get("position"))
    except ValueError as error:
        raise RunError(f"{run.path}/last.safetensors is damaged: {error}") from None
    check_together(backend.ranks, setup, position.epoch, position.step)
    yield Notice(f"resuming {run.path} at epoch {position.epoch + 1}, step {position.step}")
    return (
        yield from fit(
            run,
            opened,
            setup,
            backend,
            network,
            anchors=run.load("start").weights if _anchored(config) else None,
            position=position,
            state=trainer_state(checkpoint, position),
        )
    )


def _check_same(run: Run, setup: Setup, store: Store) -> None:
    """Refuse a store whose names are those of the run's, but mean other regions or scans."""
    for name, labels in run.manifest.regions.items():
        if setup.task.regions[name] != labels:
            old, new = (join_labels(values) for values in (labels, setup.task.regions[name]))
            raise InputError(
                f"in {store.location} the region {name} is of the labels {new}, and this run was "
                f"started with {old}: name the store that it was started on, or train from scratch"
            )
    # Of a transfer, the source's cases are there as well, maybe by the same names.
    seen = {(item.name, item.content) for item in run.manifest.seen if item.content}
    known = {name for name, _ in seen}
    other = [
        case.name
        for case in setup.index.only(setup.split.train).cases
        if case.content and case.name in known and (case.name, case.content) not in seen
    ]
    if other:
        raise InputError(
            f"{store.location} holds other scans than this run was started with, by the same "
            f"names: {', '.join(other)}; name the store that it was started on, or train from "
            f"scratch"
        )


def _stopped_at_once(path: Path) -> bool:
    """Whether there is a run that never got as far as to have weights."""
    if not (path / "run.json").exists():
        return False
    run = open_run(path)
    return not (run.has("best") or run.has("last"))


def _anchored(config: TrainConfig) -> bool:
    return config.transfer is not None and config.transfer.l2_sp > 0


def _identities(setup: Setup) -> tuple[Identity, ...]:
    return tuple(Identity.of(case) for case in setup.index.only(setup.split.train).cases)
