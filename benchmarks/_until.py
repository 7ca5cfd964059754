"""Seconds of training until the patients held out reach a Dice, for each contender and seed.

Each contender trains by its own schedule, laid over the minutes that it may take at most; none
knows the Dice that is waited for. Every so many seconds its clock is stopped and its weights, as it
would hand them on, segment the patients held out: without mirroring, refinement or removal of
components, and above one half for all. The first try that reaches the Dice ends it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from statistics import fmean, median
from typing import Any

import torch
from rich import box
from rich.table import Table
from torch import Tensor, nn

from benchmarks import _nnunet
from benchmarks._processes import alone
from benchmarks._timing import Comparison, finish
from benchmarks._trainings import Task, use_threads
from mriseg.backends import Backend, select
from mriseg.cli.render import messages, results, say
from mriseg.core import rng
from mriseg.core.config import TrainConfig
from mriseg.core.imbalance import positive_weight
from mriseg.core.metrics import CaseScores, score_case
from mriseg.core.regions import region_masks
from mriseg.core.sampling import patients
from mriseg.core.segnet import build, init_weights_
from mriseg.core.statistics import per_patient
from mriseg.engine.inference import probabilities, ready
from mriseg.engine.trainer import Trainer
from mriseg.io.disk.documents import write_json
from mriseg.io.store import open_store
from mriseg.recipes.batches import Batches
from mriseg.recipes.setup import Setup, plan_training

OURS, NNUNET, MONAI = "mriseg", "nnU-Net 2-D", "MONAI BasicUNet"
CONTENDERS = (OURS, NNUNET, MONAI)
# Steps of each precision before MONAI's training, of which the first does not count.
_TRIALS = 3


@dataclass(frozen=True)
class Contender:
    """A training to be driven from outside.

    Attributes:
        step: one step, given the share of the training that is done, 0 to 1.
        scores: of the patients held out, with the weights as they are now.
        details: what else is worth knowing.
    """

    step: Callable[[float], object]
    scores: Callable[[], Sequence[CaseScores]]
    details: dict[str, Any]


@dataclass(frozen=True)
class Rules:
    """The same for all: the Dice to reach, the seconds at most, and those between two tries."""

    target: float
    seconds: float
    every: float


@dataclass(frozen=True)
class Reached:
    """How a training went.

    Attributes:
        seconds: of training until the first try that reached the Dice; None: not within the rules'.
        steps: taken.
        curve: (seconds of training, Dice) of each try.
        details: see `Contender`.
    """

    seconds: float | None
    steps: int
    curve: tuple[tuple[float, float], ...]
    details: dict[str, Any]


def race(
    contender: Contender,
    rules: Rules,
    dice_of: Callable[[Sequence[CaseScores]], float],
    *,
    now: Callable[[], float] = time.monotonic,
) -> Reached:
    """Train until the Dice is reached or the seconds are spent; tries take no time."""
    spent, due, steps = 0.0, rules.every, 0
    curve: list[tuple[float, float]] = []
    while spent < rules.seconds:
        began = now()
        contender.step(spent / rules.seconds)
        spent += now() - began
        steps += 1
        if spent < min(due, rules.seconds):
            continue
        dice = dice_of(contender.scores())
        curve.append((spent, dice))
        say(messages(), f"{spent:.0f} s, {steps} steps: Dice {dice:.3f}")
        if dice >= rules.target:
            return Reached(spent, steps, tuple(curve), contender.details)
        due = (spent // rules.every + 1) * rules.every
    return Reached(None, steps, tuple(curve), contender.details)


def run(name: str, task: Task, config: TrainConfig, rules: Rules, batch_size: int) -> Reached:
    """One training; in a process of its own. nnU-Net's files must be there."""
    use_threads(task.threads)
    store = open_store(task.store)
    setup = plan_training(store, config)
    cases = store.index().cases
    patient_of = {case.name: group[0].patient for group in patients(cases) for case in group}

    def dice_of(scores: Sequence[CaseScores]) -> float:
        rows = ((patient_of[row.case], row.dice) for row in scores)
        return fmean(per_patient(rows).values())

    if name == NNUNET:
        with _nnunet.training(task, batch_size) as (step, scores, details):
            return race(Contender(step, scores, details), rules, dice_of)
    make = _ours if name == OURS else _monai
    backend = select("cpu") if name == OURS else _faster(task, setup)
    with backend.running():
        return race(make(task, setup, backend), rules, dice_of)


def _pairs(task: Task, setup: Setup, backend: Backend) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of a training without end, as `mriseg.recipes.fit` has them."""
    batches, step = Batches(open_store(task.store), setup, backend), 0
    for epoch in count():
        plans = setup.plan(epoch)
        yield from batches(plans, "augment", step)
        step += len(plans)


def _ours(task: Task, setup: Setup, backend: Backend) -> Contender:
    """mriseg's training step, schedule and average, as `mriseg.recipes.fit` uses them."""
    config, store = setup.config, open_store(task.store)
    network = build(setup.task.network(setup.width), backend.ops)
    init_weights_(network, rng.generator(config.seed, "weights"), prior=setup.prior)
    trainer = Trainer(
        network,
        backend,
        config,
        pos_weight=positive_weight(config, setup.positive_share),
        frame=setup.task.frame,
    )
    pairs = _pairs(task, setup, backend)

    def scores() -> list[CaseScores]:
        plans = setup.plan(0)[: config.norm_batches]
        images = (image for image, _ in Batches(store, setup, backend)(plans, "statistics"))
        own = trainer.network(images if plans else None)
        return _scores(ready(own, backend), backend, task, setup)

    return Contender(
        lambda share: trainer.step(next(pairs), share),
        scores,
        {"precision": str(backend.dtype), "width": setup.width, "batch size": config.batch_size},
    )


def _monai(task: Task, setup: Setup, backend: Backend) -> Contender:
    """MONAI's BasicUNet on mriseg's batches, with the loss and the rate of MONAI's 2-D tutorial."""
    from monai.losses import DiceLoss
    from monai.networks.nets import BasicUNet

    torch.manual_seed(task.seed)
    channels = {"in_channels": len(task.modalities), "out_channels": len(task.regions)}
    model: nn.Module = backend.place_model(BasicUNet(spatial_dims=2, **channels))
    loss, optimiser = DiceLoss(sigmoid=True), torch.optim.Adam(model.parameters(), 1e-3)
    pairs = _pairs(task, setup, backend)

    def step(_: float) -> None:
        image, target = next(pairs)
        model.train()
        optimiser.zero_grad()
        with backend.autocast():
            logits = model(image)
        loss(logits.float(), target.float()).backward()
        optimiser.step()

    return Contender(
        step,
        lambda: _scores(model.eval(), backend, task, setup),
        {"precision": str(backend.dtype), "batch size": setup.config.batch_size},
    )


def _faster(task: Task, setup: Setup) -> Backend:
    """The precision in which a step of MONAI's takes less time, which is its project's float32
    unless the processor multiplies in bfloat16."""
    seconds: dict[str, float] = {}
    for precision in ("fp32", "bf16"):
        backend = select("cpu", precision=precision)
        with backend.running():
            step, spent = _monai(task, setup, backend).step, []
            for _ in range(_TRIALS):
                began = time.perf_counter()
                step(0.0)
                spent.append(time.perf_counter() - began)
        seconds[precision] = median(spent[1:])
    return select("cpu", precision=min(seconds, key=lambda name: seconds[name]))


def _scores(network: nn.Module, backend: Backend, task: Task, setup: Setup) -> list[CaseScores]:
    store, rows = open_store(task.store), list[CaseScores]()
    for name in task.held:
        case = store.read_case(name)
        assert case.labels is not None, "only labelled cases are held out"
        masks = probabilities(network, backend, case, setup.task) > 0.5
        truth = region_masks(case.labels, task.regions)
        rows += score_case(name, masks.astype("uint8"), truth, tuple(task.regions), case.geometry)
    return rows


def compare(options: argparse.Namespace, task: Task, config: TrainConfig) -> Comparison:
    """Every contender with every seed; who begins changes from seed to seed."""
    rules = Rules(options.until, options.minutes * 60, options.every)
    # All learn from all of the others; nobody has patients to choose an epoch by.
    config = config.model_copy(update={"exclude": (*config.exclude, *task.held), "validation": 0})
    done: dict[str, dict[int, Reached]] = {name: {} for name in options.contenders}
    for turn, seed in enumerate(options.seeds):
        first = turn % len(options.contenders)
        for name in (*options.contenders[first:], *options.contenders[:first]):
            say(messages(), f"seed {seed}: {name}, until Dice {rules.target:g}")
            short = name.split()[0].lower()
            own = replace(task, seed=seed, folder=task.folder / f"{short}-{seed}")
            seeded = config.model_copy(update={"seed": seed})
            done[name][seed] = _once(name, own, seeded, rules, options.batch_size)
    return _report(options, rules, task, done)


def _once(name: str, task: Task, config: TrainConfig, rules: Rules, batch_size: int) -> Reached:
    """A training, or what is kept of it."""
    kept = task.folder.with_name(f"{task.folder.name}.json")
    if not kept.exists():
        if name == NNUNET:
            _nnunet.prepare(task)
        reached = alone(run, name, task, config, rules, batch_size)
        if name == NNUNET:
            _nnunet.tidy(task)
        write_json(kept, reached)
    data = json.loads(kept.read_text(encoding="utf-8"))
    return Reached(**data | {"curve": tuple(tuple(point) for point in data["curve"])})


def _report(
    options: argparse.Namespace, rules: Rules, task: Task, done: dict[str, dict[int, Reached]]
) -> Comparison:
    numbers = {
        f"{name}, seed {seed}": _words(reached, rules)
        for name, rows in done.items()
        for seed, reached in rows.items()
    }
    details = {
        "held": task.held,
        "train": task.train,
        "trainings": [
            {"contender": name, "seed": seed} | reached.__dict__
            for name, rows in done.items()
            for seed, reached in rows.items()
        ],
    }
    comparison = finish("benchmarks.accuracy", select("cpu"), options, [], numbers, details)
    title = f"seconds of training to Dice {rules.target:g}, patients held out"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for heading in ("median", "each", "highest Dice of each"):
        table.add_column(heading, justify="right")
    for name, rows in done.items():
        table.add_row(
            name,
            middle([reached.seconds for reached in rows.values()], rules),
            ", ".join(_words(reached, rules) for reached in rows.values()),
            ", ".join(f"{max(dice for _, dice in r.curve):.3f}" for r in rows.values()),
        )
    results().print(table)
    return comparison


def middle(seconds: Sequence[float | None], rules: Rules) -> str:
    """The median, to which those that did not get there are later than all others."""
    ordered = sorted(rules.seconds * 10 if each is None else each for each in seconds)
    value = ordered[(len(ordered) - 1) // 2] if len(ordered) % 2 else median(ordered)
    return f"{value:.0f} s" if value <= rules.seconds else _not_within(rules)


def _words(reached: Reached, rules: Rules) -> str:
    return _not_within(rules) if reached.seconds is None else f"{reached.seconds:.0f} s"


def _not_within(rules: Rules) -> str:
    return f"not within {rules.seconds / 60:g} min"
