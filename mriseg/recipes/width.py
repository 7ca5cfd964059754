"""How wide a network this machine trains in the time that there is, where nobody said.

The paper's network has 64 channels in its first block. On a processor it takes many hours where one
of 16 takes minutes, so the width is chosen by measuring: the widest whose training ends in time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mriseg.backends.base import Backend
from mriseg.backends.ranks import ALONE
from mriseg.core.config import DEFAULT_EPOCHS
from mriseg.core.resolution import low_res_share_of
from mriseg.core.wording import counted, duration
from mriseg.engine.capacity import Workload, measure
from mriseg.events import Notice, Recipe
from mriseg.recipes.pace import FULL_STEP
from mriseg.recipes.setup import Setup

PAPER_WIDTH = 64
"""Channels of the first block in the paper."""
WIDTHS = (PAPER_WIDTH, 32, 16)
"""What is chosen from, widest first."""
WAIT = 2 * 3600.0
"""Seconds that a training without a budget may take."""

# Seconds that timing whole batches of a width may take; else a few slices are timed.
_PATIENCE = 5.0
# A prediction is one pass; a step is that and twice as much for gradients.
_PREDICTION = 1 / 3


@dataclass(frozen=True)
class Timed:
    """What a training of some width takes here.

    Attributes:
        width: of the network.
        seconds: of the whole training, validations included; None: a batch does not fit.
    """

    width: int
    seconds: float | None


def with_width(setup: Setup, backend: Backend) -> Recipe[Setup]:
    """The setup with a width, chosen for this machine where none was given.

    Args:
        setup: the plan of a training from scratch.
        backend: where it will compute. Of several processes the first chooses for all.
    """
    config = setup.config
    if config.width is not None:
        return setup
    if config.encoder_weights is not None:
        width = PAPER_WIDTH
    else:
        ranks = backend.ranks
        yield Notice("no --width was given: timing a few training steps to choose one")
        # Each process would wait for the others in a step of theirs.
        timed = _timed(setup, replace(backend, ranks=ALONE)) if ranks.first else []
        limit = config.budget or WAIT
        chosen = chosen_of(timed, limit) if ranks.first else Timed(0, None)
        if ranks.first:
            yield Notice(_said(chosen, timed, setup, limit))
        width = ranks.agree(chosen.width)
    return replace(setup, config=config.model_copy(update={"width": width}))


def chosen_of(timed: Sequence[Timed], limit: float) -> Timed:
    """The widest that ends within ``limit`` seconds; the narrowest where none does."""
    within = [each for each in timed if each.seconds is not None and each.seconds <= limit]
    return max(within, default=timed[-1], key=lambda each: each.width)


def seconds_of(setup: Setup, step: float) -> float:
    """What a training takes, with its validations, where a step at full resolution takes so long.

    Of one with a budget, what the default number of epochs would take.
    """
    config = setup.config
    epochs = config.epochs or DEFAULT_EPOCHS
    low_res = low_res_share_of(config, setup.task.frame)
    steps = epochs * len(setup.plan(0)) * (1 - low_res + low_res / FULL_STEP)
    slices = sum(case.shape[0] for case in setup.index.only(setup.split.validation).cases)
    validations = -(-epochs // config.validate_every)
    return step * (steps + validations * slices / config.batch_size * _PREDICTION)


def _timed(setup: Setup, backend: Backend) -> list[Timed]:
    """Each width, widest first. One that is too wide for the memory is no error here."""
    config, task = setup.config, setup.task
    timed = []
    for width in WIDTHS:
        work = Workload(
            channels=len(task.modalities),
            classes=len(task.regions),
            width=width,
            size=task.frame,
            batch_size=config.batch_size,
            slices=config.batch_size,
            source="",
        )
        try:
            with backend.running():
                memory, pace = measure(backend, work, backend.free_memory(), patience=_PATIENCE)
        # Out of memory is an exception of another kind on each device.
        except Exception:
            timed.append(Timed(width, None))
            continue
        fits = memory.safe_batch is None or memory.safe_batch >= config.batch_size
        timed.append(Timed(width, seconds_of(setup, pace.step) if fits else None))
    return timed


def _said(chosen: Timed, timed: Sequence[Timed], setup: Setup, limit: float) -> str:
    config = setup.config
    epochs = counted(config.epochs or DEFAULT_EPOCHS, "epoch")
    work = f"{epochs} of {counted(len(setup.plan(0)), 'step')}"
    if chosen.seconds is None:
        return f"width {chosen.width}, the narrowest: not even its batch fits into the memory"
    parts = [f"width {chosen.width}: about {duration(chosen.seconds)} for {work} on this machine"]
    if chosen.seconds > limit:
        parts[0] += (
            f", more than the {duration(limit)} that it should take"
            if config.budget is None
            else f", and the budget ends it after {duration(limit)}"
        )
    wider = timed[0]
    if wider.width > chosen.width:
        paper = f"the paper's {wider.width} (--width {wider.width})"
        parts.append(
            f"{paper} does not fit into its memory"
            if wider.seconds is None
            else f"{paper} would take about {duration(wider.seconds)}"
        )
    return "; ".join(parts)
