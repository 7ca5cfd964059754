"""Inspecting many BraTS cases, beside listing them, reading headers and unpacking segmentations.

The base is what no inspection can do without, by mriseg's own functions in one process; the
difference to it is what the plan, the labels and the account cost. The cases are links to the few
real ones under other names; the files are in the system's cache.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks._data import brats_or_exit, cases
from benchmarks._processes import alone
from benchmarks._timing import Comparison, finish, interleaved, parser_of, seconds_of
from mriseg import api
from mriseg.backends import select
from mriseg.backends.machine import peak_memory
from mriseg.core.modalities import SEGMENTATION
from mriseg.io import images
from mriseg.io.readers import Case

BASE = "listing, headers, segmentations unpacked"


def linked(real: tuple[Case, ...], folder: Path, count: int) -> None:
    """``count`` cases of links to the real ones."""
    for number in range(count):
        case = real[number % len(real)]
        name = f"BraTS20_Training_{number:05}"
        (folder / name).mkdir(parents=True)
        for role, (path,) in case.sources.items():
            (folder / name / f"{name}_{role.lower()}.nii.gz").symlink_to(path.resolve())


def unavoidable(folder: Path) -> None:
    """List all files, read the headers of images, unpack segmentations."""
    for root, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(root) / name
            if name.endswith(f"_{SEGMENTATION}.nii.gz"):
                images.read(path)
            else:
                images.header(path)


def inspect(folder: Path, workers: int = 1) -> None:
    """The whole command."""
    api.inspect(folder, workers=workers)


def _peak(folder: Path) -> int | None:
    inspect(folder)
    return peak_memory()


def main(arguments: list[str] | None = None) -> Comparison:
    """Compare, and show it."""
    parser = parser_of(__doc__, rounds=3)
    parser.add_argument("--cases", type=int, default=200)
    options = parser.parse_args(arguments)
    real = cases(brats_or_exit("benchmarks.inspection"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        linked(real, folder, options.cases)
        group = interleaved(
            f"{options.cases} cases",
            {
                BASE: seconds_of(lambda: unavoidable(folder)),
                "mriseg inspect, one process": seconds_of(lambda: inspect(folder)),
                "mriseg inspect, two processes": seconds_of(lambda: inspect(folder, 2)),
            },
            base=BASE,
            rounds=options.rounds,
        )
        base, own = (group.rows[index].seconds.median for index in (0, 1))
        peak = alone(_peak, folder)
        numbers: dict[str, object] = {
            "s beyond the base for 1,000 cases": (own - base) * 1000 / options.cases,
            "peak memory of the process, MiB": None if peak is None else peak / 2**20,
        }
    return finish("benchmarks.inspection", select("cpu"), options, [group], numbers)


if __name__ == "__main__":
    main()
