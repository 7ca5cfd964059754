"""Trainings that were stopped: continued as if they had not been, or begun where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from mriseg.backends import Backend
from mriseg.core.config import FREE_SETTINGS, TrainConfig, parse
from mriseg.core.regions import join_labels
from mriseg.core.sampling import Split
from mriseg.errors import ConfigError, InputError, RunError
from mriseg.events import Notice, Recipe
from mriseg.io import runs
from mriseg.io.disk.locks import locked
from mriseg.io.disk.schemas import checked
from mriseg.io.runs import Manifest, Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.fit import TrainReport, fit
from mriseg.recipes.given_calibration import with_kept
from mriseg.recipes.keeper import Position, trainer_state
from mriseg.recipes.load import network_of
from mriseg.recipes.setup import Setup, plan_training
from mriseg.recipes.together import check_together
from mriseg.recipes.train import anchored, train


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
        # A width that was not given is that of the run, which measured it.
        if (name, now.get(name)) != ("width", None)
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
    if opened.spec.preparation != manifest.preparation:
        raise InputError(
            f"the scans in {opened.location} were prepared otherwise than those that this run was "
            f"started on ({manifest.preparation}; now {opened.spec.preparation}): name that store, "
            f"or one of the same scans"
        )
    setup = plan_training(opened, config, Split(manifest.train, manifest.validation))
    task = replace(setup.task, frame=manifest.frame, spacing=manifest.spacing)
    setup = with_kept(replace(setup, task=task), run)
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
            anchors=run.load("start").weights if anchored(config) else None,
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
