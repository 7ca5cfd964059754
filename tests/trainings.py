"""What tests of trainings share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from mriseg.backends import Backend
from mriseg.core.config import TrainConfig
from mriseg.events import Event, finish
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes.fit import TrainReport
from mriseg.recipes.train import train

OnEvent = Callable[[Event], None]


def changed(config: TrainConfig, **values: Any) -> TrainConfig:
    return TrainConfig.model_validate({**config.model_dump(), **values})


def run_training(
    store: Store, config: TrainConfig, cpu: Backend, out: Path, on_event: OnEvent | None = None
) -> TrainReport:
    return finish(train(store, config, cpu, out=out), on_event)


def numbers(run: Run) -> list[dict[str, Any]]:
    """The log without what a clock measured."""
    timed = ("images_per_second", "waiting_share", "seconds")
    return [{k: v for k, v in row.items() if k not in timed} for row in run.read_log()]


def weights_equal(one: Run, other: Run, which: str = "last") -> bool:
    a, b = one.load(which), other.load(which)
    return (
        list(a.weights) == list(b.weights)
        and all(torch.equal(a.weights[name], b.weights[name]) for name in a.weights)
        and all(torch.equal(a.optimiser[name], b.optimiser[name]) for name in a.optimiser)
        and all(torch.equal(a.average[name], b.average[name]) for name in a.average)
    )
