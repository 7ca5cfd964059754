"""A store of thousands of cases: to open, plan, add to and verify, and the memory it takes.

The same store without its index, whose cases are then asked one by one, is the contender to
compare with. The cases are copies of one, each with a description of its own (`_stores`).
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._processes import alone
from benchmarks._stores import fill_with_copies
from benchmarks._timing import Comparison, finish, parser_of
from mriseg import api
from mriseg.backends import select
from mriseg.backends.machine import peak_memory
from mriseg.core.config import TrainConfig
from mriseg.io.store import open_store
from mriseg.recipes.info import store_info
from mriseg.recipes.setup import plan_training
from mriseg.testing import phantoms


def opened(path: str) -> dict[str, Any]:
    """Open a store and plan two epochs of a training, in this process."""
    numbers: dict[str, Any] = {}
    base = peak_memory() or 0

    def lap(what: str, began: float) -> float:
        now = time.perf_counter()
        numbers[f"{what}: seconds"] = now - began
        numbers[f"{what}: peak memory beyond the imports', MiB"] = (
            (peak_memory() or 0) - base
        ) / 2**20
        return time.perf_counter()

    now = time.perf_counter()
    store = open_store(path)
    store.index()
    now = lap("open", now)
    setup = plan_training(store, TrainConfig())
    now = lap("plan a training, copies looked for", now)
    setup.plan(0)
    now = lap("plan an epoch", now)
    store_info(store)
    lap("info", now)
    return numbers


def appended(path: str) -> dict[str, Any]:
    """Add a case to a store, and then its row to the index."""
    store = open_store(path)
    name = next(iter(store))
    case, attributes = store.read_case(name), store.cases()[name]
    before = set(Path(path).glob("index/*"))
    began = time.perf_counter()
    store.append("one more", case, patient="one more", content=attributes.content[::-1])
    middle = time.perf_counter()
    store.update_index()
    new = set(Path(path).glob("index/*")) - before
    return {
        "add a case: seconds": middle - began,
        "add its row: seconds": time.perf_counter() - middle,
        "add its row: bytes written": sum(file.stat().st_size for file in new),
    }


def verified(path: str) -> dict[str, Any]:
    """Verify a store, in this process."""
    return _lap("verify", lambda: api.verify(path))


def inspected(folder: str) -> dict[str, Any]:
    """Look into a folder of scans, in this process."""
    return _lap("inspect", lambda: api.inspect(folder, workers=1))


def _lap(what: str, work: Callable[[], object]) -> dict[str, Any]:
    base, began = peak_memory() or 0, time.perf_counter()
    work()
    return {
        f"{what}: seconds": time.perf_counter() - began,
        f"{what}: peak memory beyond the imports', MiB": ((peak_memory() or 0) - base) / 2**20,
    }


def scans_of_copies(folder: Path, count: int) -> None:
    """A folder of ``count`` cases of BraTS, whose files are links to those of one."""
    [first] = phantoms.write_brats(folder, 1, shape=(8, 32, 32), names="2023")
    for number in range(count):
        case = folder / f"BraTS-GLI-{number:05}-000"
        if case != first:
            case.mkdir()
            for file in first.iterdir():
                (case / file.name.replace(first.name, case.name)).hardlink_to(file)


def main(arguments: list[str] | None = None) -> Comparison:
    """Compare, and show it."""
    parser = parser_of(__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    options = parser.parse_args(arguments)

    numbers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "large.zarr"
        store = fill_with_copies(path, options.cases)
        for name, value in alone(opened, str(path)).items():
            numbers[f"without the index: {name}"] = value
        began = time.perf_counter()
        store.update_index()
        numbers["write the index: seconds"] = time.perf_counter() - began
        numbers |= alone(opened, str(path))
        size = sum(file.stat().st_size for file in path.glob("index/*"))
        numbers["index: bytes a case"] = size / options.cases
        document = path / "cases" / next(iter(store)) / "zarr.json"
        numbers["attributes: bytes a case"] = document.stat().st_size
        numbers |= alone(appended, str(path))
        numbers |= alone(verified, str(path))
        shutil.rmtree(path, ignore_errors=True)
        scans = Path(temporary) / "scans"
        scans_of_copies(scans, options.cases)
        numbers |= alone(inspected, str(scans))
    return finish("benchmarks.large", select("cpu"), options, [], numbers)


if __name__ == "__main__":
    main()
