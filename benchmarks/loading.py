"""One random slice with its mask, into memory: from mriseg's store and from the scans' files.

The prototype read four whole volumes (three modalities and the segmentation) for each slice. MONAI
and TorchIO load a case in their usual chain and take a slice of it; both can hold cases in memory
instead (MONAI's CacheDataset), which is fast and whose memory grows with the cases. mriseg reads
random batches of 10; the time is of one slice. All files are in the system's cache.
"""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from benchmarks import _chains
from benchmarks._data import as_nifti, brats, cases, need
from benchmarks._timing import (
    Comparison,
    Contender,
    finish,
    interleaved,
    parser_of,
    seconds_of,
)
from mriseg import api
from mriseg.backends import select
from mriseg.core.task import Task
from mriseg.core.volume import SliceRef
from mriseg.io.readers.base import SEGMENTATION
from mriseg.io.sample import sample_dir
from mriseg.io.store import Store, frame_for, open_store

OURS = "mriseg, store"
BATCH = 10
# Channels of a slice, as the prototype had.
IMAGES = 3
SUFFIXES = (".nii", ".nii.gz")


def store_reader(store: Store, batches: int) -> Contender:
    """Random batches of three channels and a mask, in one process, one after the other."""
    index = store.index()
    modalities = index.modalities[:IMAGES]
    frame = frame_for(case.shape for case in index.cases)
    task = Task(modalities, index.regions, frame)
    refs = [SliceRef(case.name, z) for case in index.cases for z in range(case.shape[0])]
    drawn = random.Random(0)

    def read() -> None:
        for _ in range(batches):
            batch = sorted(drawn.choices(refs, k=BATCH))
            store.read(batch, task)

    return seconds_of(read, BATCH * batches)


def whole_volumes(files: Mapping[str, Path], slices: Iterator[int]) -> Contender:
    """The prototype's way: nibabel's ``get_fdata`` of each file, of which one slice is used."""

    def read() -> None:
        z = next(slices)
        volumes = [nib.load(path).get_fdata() for path in files.values()]
        np.stack([volume[:, :, z] for volume in volumes])

    return seconds_of(read)


def chain(
    load: Callable[[Mapping[str, Path]], Mapping[str, Any]],
    files: Mapping[str, Path],
    slices: Iterator[int],
) -> Contender:
    """A case through a library's chain, of which one slice is used."""

    def read() -> None:
        z = next(slices)
        for volume in load(files).values():
            volume[..., z].clone()

    return seconds_of(read)


def main(arguments: list[str] | None = None) -> Comparison:
    """Compare, and show it."""
    parser = parser_of(__doc__, rounds=7)
    parser.add_argument("--batches", type=int, default=20, help="of the store's, each round")
    options = parser.parse_args(arguments)
    need("monai", "torchio")

    source = brats()
    available = cases(source)
    case = next(case for case in available if case.labelled and len(case.modalities) >= IMAGES)
    wanted = {*case.modalities[:IMAGES], SEGMENTATION}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        api.preprocess(source or sample_dir(), root / "store.zarr", workers=1)
        contenders = {OURS: store_reader(open_store(root / "store.zarr"), options.batches)}
        for suffix in SUFFIXES:
            every = as_nifti(case, root / suffix.strip("."), suffix)
            files = {name: path for name, path in every.items() if name in wanted}
            depth = nib.load(files[SEGMENTATION]).shape[2]
            slices = itertools.cycle(random.Random(0).sample(range(depth), depth))
            contenders |= {
                f"prototype: {len(files)} whole volumes, {suffix}": whole_volumes(files, slices),
                f"MONAI, {suffix}": chain(_chains.monai, files, slices),
                f"TorchIO, {suffix}": chain(_chains.torchio, files, slices),
            }
        group = interleaved("a slice with its mask", contenders, base=OURS, rounds=options.rounds)
    numbers = {
        "scans": "BraTS" if source else "the sample in the package",
        "slices per second from the store": 1 / group[OURS].seconds.median,
    }
    return finish("benchmarks.loading", select("cpu"), options, [group], numbers)


if __name__ == "__main__":
    main()
