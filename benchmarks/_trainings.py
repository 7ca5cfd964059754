"""A training to compare, and its outcome, for every contender."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mriseg.core.metrics import CaseScores
from mriseg.core.regions import Regions
from mriseg.io.disk.documents import write_json


@dataclass(frozen=True)
class Task:
    """The same for every contender, but for the folder.

    Attributes:
        store: the location of the store.
        train: names of the cases to learn from.
        held: names of the cases to measure; until the training has ended nothing reads them.
        modalities: the channels.
        regions: what to segment.
        seconds: that the training may take.
        threads: that compute.
        seed: of weights, sampling and augmentation.
        folder: for all that is written; not there yet.
    """

    store: str
    train: tuple[str, ...]
    held: tuple[str, ...]
    modalities: tuple[str, ...]
    regions: Regions
    seconds: float
    threads: int
    seed: int
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """What a training gave.

    Attributes:
        scores: of the cases held out.
        seconds: that the training took.
        processor: seconds of it that the process had a processor, over all of its threads.
        steps: done.
        images: slices seen.
        loss: its mean over the first and the last tenth of the training.
        details: what else is worth knowing.
    """

    scores: tuple[CaseScores, ...]
    seconds: float
    processor: float
    steps: int
    images: int
    loss: tuple[float, float]
    details: dict[str, Any]

    def save(self, path: Path) -> None:
        """As JSON; a number that is undefined as null."""
        write_json(path, self)

    @classmethod
    def load(cls, path: Path) -> Outcome:
        """What `save` wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        scores = tuple(CaseScores(**row) for row in data.pop("scores"))
        return cls(scores=scores, loss=tuple(data.pop("loss")), **data)


def ends(losses: list[float]) -> tuple[float, float]:
    """The mean of the first and of the last tenth."""
    tenth = max(1, len(losses) // 10)
    return sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth


def alike(work: Path, settings: dict[str, Any]) -> bool:
    """Whether what is in ``work`` was made with these settings; they are noted if nothing is."""
    path = work / "settings.json"
    if not path.exists():
        write_json(path, settings)
    return bool(json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(settings)))


def once(folder: Path, train: Callable[[Path], Outcome]) -> Outcome:
    """What ``train`` gives, which works in ``folder``; the second time from the file beside it."""
    kept = folder.with_name(f"{folder.name}.json")
    if kept.exists():
        return Outcome.load(kept)
    shutil.rmtree(folder, ignore_errors=True)  # of a training that was cut short
    outcome = train(folder)
    outcome.save(kept)
    return outcome


def use_threads(count: int) -> None:
    """Compute with so many threads, here and in the processes that this one starts."""
    os.environ["OMP_NUM_THREADS"] = str(count)
    torch.set_num_threads(count)
