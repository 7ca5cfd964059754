"""Held-out Dice of mriseg and of nnU-Net's 2-D network: same patients, minutes and threads.

Patients are split into folds. For each, both train from scratch on the others for as many minutes
of wall time and then segment the fold's patients, whom neither has seen: they choose no epoch, no
threshold and no setting. Both compute on the CPU, one after the other, in processes of their own;
who begins changes from fold to fold.

mriseg is its public API with its defaults, of the width asked for. nnU-Net is the package
`nnunetv2` itself: its preprocessing, planner, trainer, augmentation and prediction. What had to be
changed for minutes on a CPU is in `_nnunet`, and none of it to nnU-Net's disadvantage.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from rich import box
from rich.table import Table

from benchmarks import _nnunet, _until
from benchmarks._data import need
from benchmarks._processes import alone
from benchmarks._timing import Comparison, finish, parser_of
from benchmarks._trainings import Outcome, Task, alike, ends, once, use_threads
from mriseg import api
from mriseg.backends import select
from mriseg.backends.base import DTYPES
from mriseg.cli.render import drawing, fail, messages, results, say
from mriseg.core.config import TrainConfig
from mriseg.core.sampling import Split, folds, patients
from mriseg.core.statistics import Difference, Estimate, difference, estimate, is_shown, per_patient
from mriseg.core.train_settings import training_config
from mriseg.errors import ConfigError, MrisegError
from mriseg.io.disk.documents import plain
from mriseg.io.store import open_store
from mriseg.recipes.predict import PredictOptions
from mriseg.recipes.setup import Setup, plan_training

OURS, THEIRS = "mriseg", "nnU-Net 2-D"
PACKAGES = ("nnunetv2", "dynamic_network_architectures", "batchgeneratorsv2")
_MEAN = "mean of the regions"


@dataclass(frozen=True)
class Fold:
    """One fold's outcomes: contender -> what its training gave."""

    number: int
    train: tuple[str, ...]
    held: tuple[str, ...]
    outcomes: dict[str, Outcome]


@dataclass(frozen=True)
class Summary:
    """A region's Dice over the patients held out, and what mriseg has more than nnU-Net."""

    region: str
    ours: Estimate
    theirs: Estimate
    difference: Difference


def train_ours(task: Task, config: TrainConfig, options: PredictOptions) -> Outcome:
    """mriseg by its public API; in a process of its own."""
    use_threads(task.threads)
    backend = select("cpu")
    with drawing() as draw:
        began = time.process_time()
        report = api.train(task.store, config, backend=backend, out=task.folder, on_event=draw)
        processor = time.process_time() - began
        run = api.open_run(report.run)
        evaluation = api.evaluate(
            task.store, run, options, cases=task.held, backend=backend, on_event=draw
        )
    rows = run.read_log()
    steps = rows[-1]["step"]
    return Outcome(
        scores=evaluation.scores,
        seconds=report.seconds,
        processor=processor,
        steps=steps,
        images=steps * config.batch_size,
        loss=ends([row["loss"] for row in rows]),
        details={
            "precision": next(name for name, dtype in DTYPES.items() if dtype == backend.dtype),
            "epochs": report.epochs,
            "best epoch": report.best_epoch,
            "of its cases, those that choose the epoch": len(run.manifest.validation),
            "ended": report.reason,
        },
    )


def train_both(
    task: Task, number: int, config: TrainConfig, options: PredictOptions, batch_size: int
) -> Fold:
    """A fold's trainings, but for those whose outcome is in the folder already."""

    def ours(folder: Path) -> Outcome:
        return alone(train_ours, replace(task, folder=folder), config, options)

    def theirs(folder: Path) -> Outcome:
        own_task = replace(task, folder=folder)
        _nnunet.prepare(own_task)
        outcome = alone(_nnunet.run, own_task, batch_size)
        _nnunet.tidy(own_task)
        return outcome

    contenders = {OURS: ("mriseg", ours), THEIRS: ("nnunet", theirs)}
    outcomes = {}
    for name in (OURS, THEIRS) if number % 2 == 0 else (THEIRS, OURS):
        say(messages(), f"fold {number}: {name}, {task.seconds / 60:g} minutes")
        folder, train = contenders[name]
        outcomes[name] = once(task.folder / folder, train)
    return Fold(number, task.train, task.held, {name: outcomes[name] for name in contenders})


def summarise(
    done: Sequence[Fold], patient_of: dict[str, str], regions: Sequence[str]
) -> list[Summary]:
    """Each region's Dice, and their mean's if there are several, patient by patient."""
    summaries = []
    for region in (*regions, _MEAN) if len(regions) > 1 else regions:
        ours, theirs = (
            per_patient(
                (patient_of[row.case], row.dice)
                for fold in done
                for row in fold.outcomes[name].scores
                if region in (row.region, _MEAN)
            )
            for name in (OURS, THEIRS)
        )
        # The same draws for each, so that a repeated run gives the same intervals.
        draws = (np.random.default_rng(0) for _ in range(3))
        summaries.append(
            Summary(
                region,
                estimate(ours, next(draws)),
                estimate(theirs, next(draws)),
                difference(ours, theirs, next(draws)),
            )
        )
    return summaries


def report(
    options: argparse.Namespace, done: Sequence[Fold], patient_of: dict[str, str], regions: Any
) -> Comparison:
    """Show what was found so far, and write it if that was asked for."""
    summaries = summarise(done, patient_of, regions)
    planned = [fold.outcomes[THEIRS].details for fold in done]
    numbers: dict[str, Any] = {f"version of {name}": version(name) for name in PACKAGES}
    numbers |= {
        f"{name}: {what}": value
        for name in (OURS, THEIRS)
        for what, value in _speed([fold.outcomes[name] for fold in done]).items()
    }
    key = "batch size that nnU-Net planned"
    numbers[key] = ", ".join(sorted({str(each[key]) for each in planned}))
    details = {
        "summary": summaries,
        "patients": [
            {"patient": patient_of[row.case], "case": row.case, "region": row.region}
            | {"fold": fold.number, "contender": name, "dice": row.dice, "hd95": row.hd95}
            for fold in done
            for name, outcome in fold.outcomes.items()
            for row in outcome.scores
        ],
        "folds": [
            {"fold": fold.number, "train": fold.train, "held": fold.held}
            | {
                name: {k: v for k, v in outcome.__dict__.items() if k != "scores"}
                for name, outcome in fold.outcomes.items()
            }
            for fold in done
        ],
    }
    comparison = finish("benchmarks.accuracy", select("cpu"), options, [], numbers, details)
    _show(summaries, options)
    return comparison


def _speed(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Means over the folds."""
    return {
        "minutes": fmean(each.seconds for each in outcomes) / 60,
        "minutes of a processor": fmean(each.processor for each in outcomes) / 60,
        "steps": fmean(each.steps for each in outcomes),
        "images per second": fmean(each.images / each.seconds for each in outcomes),
        "loss, first and last tenth": " to ".join(
            f"{fmean(each.loss[end] for each in outcomes):.3f}" for end in (0, 1)
        ),
        "precision": ", ".join(sorted({each.details["precision"] for each in outcomes})),
    }


def _show(summaries: Sequence[Summary], options: argparse.Namespace) -> None:
    count = summaries[0].difference.patients
    title = f"3-D Dice of the patients held out ({count}), after {options.minutes:g} minutes"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for name in (OURS, THEIRS, "difference", "p", ""):
        table.add_column(name, justify="right" if name else "left")
    for row in summaries:
        gap = row.difference
        better = OURS if gap.mean > 0 else THEIRS
        table.add_row(
            row.region,
            *(_interval(each) for each in (row.ours, row.theirs, gap)),
            f"{gap.p:.3f}",
            f"{better} is better" if is_shown(gap) else "no difference could be shown",
        )
    results().print(table)


def _interval(value: Estimate | Difference) -> str:
    """A mean with its 95 % interval, which one patient does not have."""
    if np.isnan(value.low):
        return f"{value.mean:.3f}"
    return f"{value.mean:.3f} [{value.low:.3f}, {value.high:.3f}]"


def _pairs(words: Sequence[str]) -> dict[str, Any]:
    """Settings from "key=value" and "table.key=value"; values as in JSON, or else texts."""
    settings: dict[str, Any] = {}
    for word in words:
        key, _, text = word.partition("=")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        *tables, last = key.split(".")
        inside = settings
        for table in tables:
            inside = inside.setdefault(table, {})
        inside[last] = value
    return settings


def _predicting(words: Sequence[str]) -> PredictOptions:
    given, known = _pairs(words), [field.name for field in fields(PredictOptions)]
    for key in given.keys() - set(known):
        raise ConfigError(f"there is no setting {key!r} of prediction; known: {', '.join(known)}")
    return PredictOptions(**given)


def _parser() -> argparse.ArgumentParser:
    parser = parser_of(__doc__)
    parser.add_argument("store", help="made by mriseg preprocess")
    parser.add_argument("--minutes", type=float, default=60, help="of each training; default: 60")
    parser.add_argument("--folds", type=int, default=5, help="of the patients; default: 5")
    parser.add_argument(
        "--fold", type=int, nargs="+", help="only this one, or these, counted from 0"
    )
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="default: PyTorch's"
    )
    parser.add_argument("--width", type=int, default=16, help="mriseg's; default: 16")
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of mriseg's training"
    )
    parser.add_argument(
        "--predict", nargs="+", default=[], metavar="KEY=VALUE", help="of mriseg's prediction"
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=10,
        help="nnU-Net's; default: 10. It would plan more, of which a CPU makes too few steps",
    )
    parser.add_argument(
        "--until",
        type=float,
        metavar="DICE",
        help="measure the seconds of training until the patients held out reach this Dice, with "
        "each of --seeds, instead of the Dice after --minutes, which is then the most it may take",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="with --until")
    parser.add_argument(
        "--every", type=float, default=30, help="seconds between two tries; with --until"
    )
    parser.add_argument(
        "--contenders",
        nargs="+",
        choices=_until.CONTENDERS,
        default=list(_until.CONTENDERS),
        metavar="NAME",
        help=f"with --until: {', '.join(_until.CONTENDERS)}; default: all",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the folds and of both trainings")
    parser.add_argument(
        "--work",
        type=Path,
        metavar="DIR",
        help="keep the trainings here; those that are there are not done again",
    )
    return parser


def main(arguments: list[str] | None = None) -> Comparison:
    """Compare, and show it."""
    options = _parser().parse_args(arguments)
    if options.until is None:
        need("nnunetv2")
    else:
        packages = {_until.NNUNET: "nnunetv2", _until.MONAI: "monai"}
        need(*(packages[name] for name in options.contenders if name in packages))
    try:
        return _compare(options)
    except MrisegError as error:
        fail(str(error))
        sys.exit(2)


def _compare(options: argparse.Namespace) -> Comparison:
    use_threads(options.threads)
    store = open_store(options.store)
    seconds = options.minutes * 60
    base = training_config(
        # The time decides when to stop.
        {"patience": 10_000, "width": options.width, "seed": options.seed},
        _pairs(options.set),
        {"budget": timedelta(seconds=seconds)},
    )
    predicting = _predicting(options.predict)
    setup = plan_training(store, base)
    cases = setup.index.cases
    patient_of = {case.name: group[0].patient for group in patients(cases) for case in group}
    parts = folds(cases, options.folds, options.seed)
    chosen = range(len(parts)) if options.fold is None else sorted(set(options.fold))
    unknown = [number for number in chosen if number not in range(len(parts))]
    if unknown:
        raise ConfigError(f"--fold {unknown[0]}: expected a number from 0 to {len(parts) - 1}")
    settings = {
        "store": str(Path(options.store).absolute()),
        "config": base.model_dump(mode="json"),
        "predicting": plain(predicting),
        **{name: getattr(options, name) for name in ("folds", "threads", "batch_size", "seed")},
    }
    if options.until is not None:
        if not 0 < options.until < 1 or options.every <= 0 or len(options.fold or [0]) > 1:
            raise ConfigError(
                "--until expects a Dice between 0 and 1, --every a number of seconds above 0, and "
                "--fold no more than one fold with them"
            )
        settings |= {"until": options.until, "every": options.every}
    done: list[Fold] = []
    with tempfile.TemporaryDirectory() if options.work is None else nullcontext(options.work) as at:
        if not alike(Path(at), settings):
            raise ConfigError(f"{at} holds trainings with other settings: name another --work")
        if options.until is not None:
            return _until_reached(options, Path(at), parts[chosen[0]], setup, base)
        for number in chosen:
            part = parts[number]
            config = base.model_copy(update={"exclude": (*base.exclude, *part.validation)})
            task = Task(
                store=options.store,
                train=part.train,
                held=part.validation,
                modalities=setup.task.modalities,
                regions=setup.task.regions,
                seconds=seconds,
                threads=options.threads,
                seed=options.seed,
                folder=Path(at) / f"fold-{number}",
            )
            done.append(train_both(task, number, config, predicting, options.batch_size))
            comparison = report(options, done, patient_of, setup.task.regions)
    return comparison


def _until_reached(
    options: argparse.Namespace,
    at: Path,
    part: Split,
    setup: Setup,
    base: TrainConfig,
) -> Comparison:
    """The seconds to a Dice on the patients of one fold."""
    task = Task(
        store=options.store,
        train=part.train,
        held=part.validation,
        modalities=setup.task.modalities,
        regions=setup.task.regions,
        seconds=options.minutes * 60,
        threads=options.threads,
        seed=options.seed,
        folder=at,
    )
    return _until.compare(options, task, base)


if __name__ == "__main__":
    main()
