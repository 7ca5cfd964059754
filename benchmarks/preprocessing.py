"""One BraTS case into mriseg's store, beside reading its files and others' load, orient, normalise.

mriseg's time is of the whole command but for the start of Python: the case is found, read, checked,
oriented, cropped, normalised, compressed and written, and its files' checksums are taken. One
process; the files are in the system's cache. Memory is each contender's in a process of its own.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from benchmarks import _chains
from benchmarks._data import brats_or_exit, cases, need, one_case
from benchmarks._processes import alone
from benchmarks._timing import Comparison, finish, interleaved, parser_of, seconds_of
from mriseg import api
from mriseg.backends import select
from mriseg.backends.machine import peak_memory, restart_peak_memory
from mriseg.io.readers import Case

READING = "nibabel reading its files"
Files = Mapping[str, Path]


def ours(source: Path, files: Files, out: Path) -> None:
    """All of ``mriseg preprocess``."""
    api.preprocess(source, out, layout="brats", workers=1)


def reading(source: Path, files: Files, out: Path) -> None:
    """Every voxel, in the type that the file has."""
    for path in files.values():
        np.asanyarray(nib.load(path).dataobj)


def monai(source: Path, files: Files, out: Path) -> None:
    """Load, orient, normalise; nothing is written."""
    _chains.monai(files)


def torchio(source: Path, files: Files, out: Path) -> None:
    """Load, orient, normalise; nothing is written."""
    _chains.torchio(files)


Work = Callable[[Path, Files, Path], None]
CONTENDERS: dict[str, Work] = {
    READING: reading,
    "mriseg, into the store": ours,
    "MONAI, load, orient, normalise": monai,
    "TorchIO, load, orient, normalise": torchio,
}


def memory(work: Work, source: Path, files: Files, out: Path) -> tuple[int | None, int | None]:
    """Bytes at the peak of this process, and how many of them it did not hold before."""
    before = restart_peak_memory()
    work(source, files, out)
    peak = peak_memory()
    return peak, None if peak is None or before is None else peak - before


def main(arguments: list[str] | None = None) -> Comparison:
    """Compare, and show it."""
    parser = parser_of(__doc__, rounds=7)
    parser.add_argument("--case", help="by name; default: the first that is labelled")
    options = parser.parse_args(arguments)
    folder = brats_or_exit("benchmarks.preprocessing")
    need("monai", "torchio")

    case = _chosen(cases(folder), options.case)
    with tempfile.TemporaryDirectory() as temporary:
        source = one_case(case, Path(temporary) / "scans")
        [copied] = cases(source)
        files = {name: paths[0] for name, paths in copied.sources.items()}
        # A new store each time: one that holds the case already has nothing to do.
        stores = (Path(temporary) / f"{number}.zarr" for number in itertools.count())

        def calling(work: Work) -> Callable[[], None]:
            return lambda: work(source, files, next(stores))

        group = interleaved(
            f"{case.name}, {len(files)} files",
            {name: seconds_of(calling(work)) for name, work in CONTENDERS.items()},
            base=READING,
            rounds=options.rounds,
        )
        numbers: dict[str, object] = {}
        for name, work in CONTENDERS.items():
            peak, beyond = alone(memory, work, source, files, next(stores))
            numbers[f"peak memory of the process, MiB: {name}"] = _mib(peak)
            numbers[f"of it beyond this script and torch, MiB: {name}"] = _mib(beyond)
    return finish("benchmarks.preprocessing", select("cpu"), options, [group], numbers)


def _chosen(available: tuple[Case, ...], name: str | None) -> Case:
    return next(case for case in available if case.labelled and name in (None, case.name))


def _mib(value: int | None) -> float | None:
    return None if value is None else value / 2**20


if __name__ == "__main__":
    main()
