"""A long run: whether memory, files and threads stay level while it trains and predicts.

::

    python -m tests.reliability.soak --steps 2000 --predictions 200

Prints a line a window, and ends with code 1 if something grew. What the first windows take is the
price of warming up (caches, the allocator); from then on the level must hold.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import psutil

from mriseg.backends import select
from mriseg.core.config import TrainConfig
from mriseg.events import Measured, finish
from mriseg.io.disk.atomic import temporary_folder
from mriseg.io.runs import open_run
from mriseg.io.store import open_store
from mriseg.recipes.predict import PredictOptions, predict
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.train import train
from mriseg.testing import phantoms

SHAPE = (8, 36, 36)
_POOL = 4


@dataclass(frozen=True)
class Level:
    """What the process holds at a moment.

    Attributes:
        memory: resident, in MiB.
        files: open file descriptors.
        threads: of the operating system.
        children: processes.
    """

    memory: float
    files: int
    threads: int
    children: int


def level() -> Level:
    gc.collect()
    process = psutil.Process()
    return Level(
        memory=process.memory_info().rss / 2**20,
        files=process.num_fds(),
        threads=process.num_threads(),
        children=len(process.children(recursive=True)),
    )


def training(folder: Path, steps: int, window: int) -> Iterator[Level]:
    """A level every ``window`` steps, through validations, pictures and checkpoints."""
    epochs = steps // window
    config = TrainConfig(
        width=8,
        batch_size=2,
        epochs=epochs,
        slices_per_epoch=2 * window,
        patience=epochs,
        checkpoint_every=5,
        low_res_share=0.0,
    )
    cpu = select("cpu", precision="fp32")
    for event in train(open_store(folder / "out.zarr"), config, cpu, out=folder / "run"):
        if isinstance(event, Measured):
            yield level()


def predicting(folder: Path, predictions: int, window: int) -> Iterator[Level]:
    """A level every ``window`` predictions, each a call of its own as a server would make it."""
    cpu = select("cpu", precision="fp32")
    run = open_run(folder / "run")
    cases = sorted((folder / "scans").iterdir())
    done = 0
    for number in count():
        # A folder of its own each: in one, the second mask of a case would be the first, kept.
        out = folder / "masks" / str(number)
        report = finish(predict(cases[number % len(cases)], out, run, cpu, PredictOptions()))
        done += len(report.results)
        if done % window == 0:
            yield level()
        if done >= predictions:
            return


def growth(levels: list[Level]) -> Level:
    """By how much the last third lies above the third in the middle: the first warms up."""
    third = max(1, len(levels) // 3)
    middle, last = levels[third : 2 * third], levels[-third:]

    def grown(name: str) -> float:
        before, after = ([getattr(item, name) for item in part] for part in (middle, last))
        return statistics.median(after) - statistics.median(before)

    return Level(grown("memory"), *(int(grown(n)) for n in ("files", "threads", "children")))


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--predictions", type=int, default=200)
    parser.add_argument("--windows", type=int, default=20)
    parser.add_argument("--allowed", type=float, default=8.0, help="MiB of growth")
    given = parser.parse_args()
    failed = False
    with temporary_folder() as folder:
        phantoms.write_brats(folder / "scans", 4, shape=SHAPE)
        finish(preprocess(folder / "scans", folder / "out.zarr", workers=1))
        for name, levels in (
            ("steps", training(folder, given.steps, max(1, given.steps // given.windows))),
            (
                "predictions",
                predicting(folder, given.predictions, max(1, given.predictions // given.windows)),
            ),
        ):
            samples = []
            total = getattr(given, name)
            for item in levels:
                samples.append(item)
                at = len(samples) * max(1, total // given.windows)
                print(f"{at:6d} {name}: {item.memory:7.1f} MiB, {item.files} files, ", end="")
                print(f"{item.threads} threads, {item.children} children", flush=True)
            grown = growth(samples)
            print(f"grown from the middle third to the last, {name}: {grown}", flush=True)
            failed |= grown.memory > given.allowed
            failed |= max(grown.files, grown.children) > 0
            # The store's library adds to its pool as it is busy, and takes some away again.
            failed |= grown.threads > _POOL
    return int(failed)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
