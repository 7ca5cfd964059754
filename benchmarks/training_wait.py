"""How long a training waits for data, and the memory that it takes beyond the steps' own.

The same training on a store of two cases and on one of many: the share of its time in which no
batch was ready, from the run's log, and the peak of memory of its process. Beside them, in another
process, as many steps on one batch that is there: network, optimiser and activations alone. What is
beyond that is the store, the loader, augmentation, validation and checkpoints. Many cases are few
ones under many names, which is the same to a store.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks._data import brats_or_exit, cases
from benchmarks._processes import alone
from benchmarks._timing import Comparison, finish, parser_of
from mriseg import api
from mriseg.backends import select
from mriseg.backends.machine import peak_memory
from mriseg.core.config import DEFAULT_MODALITIES, TrainConfig
from mriseg.core.prepare import prepare
from mriseg.engine.workloads import BenchConfig, training
from mriseg.io.readers import Case
from mriseg.io.store import Store, StoreSpec, create, frame_for, open_store

OpsChoice = tuple[str, str]
"""A backend and its precision, by name."""


def fill(path: Path, scans: list[Case], count: int) -> Store:
    """A store of ``count`` cases: those found, again and again under other names."""
    store = create(path, StoreSpec({"WT": (1, 2, 3, 4)}, layout="brats"))
    loaded = [case.load() for case in scans[:count]]
    prepared = [prepare(each.images, each.labels, each.geometry) for each in loaded]
    for number in range(count):
        name = f"case {number:03}"
        store.append(name, prepared[number % len(prepared)], patient=name, content=name)
    return open_store(path)


def train(store: Path, run: Path, config: TrainConfig, chosen: OpsChoice) -> dict[str, Any]:
    """A whole training, in this process."""
    backend = select(chosen[0], precision=chosen[1])
    api.train(store, config, backend=backend, out=run)
    rows = api.open_run(run).read_log()
    return {
        "waiting": [row["waiting_share"] for row in rows],
        "images per second": [row["images_per_second"] for row in rows],
        "memory": peak_memory(),
    }


def steps_alone(config: BenchConfig, steps: int, chosen: OpsChoice) -> dict[str, Any]:
    """Steps on a batch that is there, in this process."""
    backend = select(chosen[0], precision=chosen[1])
    with backend.running():
        step = training(backend, config)
        step()
        backend.synchronize()
        began = time.perf_counter()
        for _ in range(steps):
            step()
        backend.synchronize()
        spent = time.perf_counter() - began
    return {"images per second": steps * config.batch_size / spent, "memory": peak_memory()}


def main(arguments: list[str] | None = None) -> Comparison:
    """Compare, and show it."""
    parser = parser_of(__doc__)
    parser.add_argument("--steps", type=int, default=20, help="of an epoch")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--cases", type=int, default=60, help="in the store of many")
    parser.add_argument("--batch-size", type=int, default=10)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args(arguments)
    folder = brats_or_exit("benchmarks.training_wait")

    backend = select(options.backend, precision=options.precision)
    chosen = (options.backend, options.precision)
    config = TrainConfig(
        modalities=DEFAULT_MODALITIES,
        width=options.width,
        batch_size=options.batch_size,
        slices_per_epoch=options.batch_size * options.steps,
        epochs=options.epochs,
        # One case, whatever the store: validation takes as long and as much.
        validation_cases=("case 000",),
    )
    usable = [
        case
        for case in cases(folder)
        if case.labelled and set(DEFAULT_MODALITIES) <= set(case.modalities)
    ]
    numbers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        many = fill(root / "many.zarr", usable, options.cases)
        frame = frame_for(case.shape for case in many.index().cases)
        few = fill(root / "few.zarr", usable, 2)
        plain = BenchConfig(width=options.width, batch_size=options.batch_size, size=frame)
        base = alone(steps_alone, plain, options.steps, chosen)
        numbers["steps alone: images per second"] = base["images per second"]
        numbers["steps alone: peak memory, MiB"] = _mib(base["memory"])
        for name, store in (("2 cases", few), (f"{options.cases} cases", many)):
            result = alone(train, Path(store.location), root / f"run of {name}", config, chosen)
            waited = result["waiting"]
            numbers[f"{name}: share of the time spent waiting, by epoch"] = ", ".join(
                f"{share:.2%}" for share in waited
            )
            numbers[f"{name}: images per second, by epoch"] = ", ".join(
                f"{speed:.3g}" for speed in result["images per second"]
            )
            numbers[f"{name}: peak memory, MiB"] = _mib(result["memory"])
            beyond = _beyond(result["memory"], base["memory"])
            numbers[f"{name}: of it beyond the steps', MiB"] = beyond
    return finish("benchmarks.training_wait", backend, options, [], numbers)


def _mib(value: int | None) -> float | None:
    return None if value is None else value / 2**20


def _beyond(value: int | None, base: int | None) -> float | None:
    return None if value is None or base is None else (value - base) / 2**20


if __name__ == "__main__":
    main()
