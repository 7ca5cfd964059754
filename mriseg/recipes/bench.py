"""How fast this machine is at what mriseg does, against its own rate of multiplying matrices.

Each part is what the other recipes do, called as they call it; nothing is measured on a copy. The
first three come in the order of the memory that they need, for systems where the peak of it cannot
be set back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch

from mriseg.backends.base import Backend, type_name
from mriseg.backends.meter import PeakMemory
from mriseg.core import rng
from mriseg.core.config import DEFAULT_MODALITIES
from mriseg.core.cost import Cost, cost
from mriseg.core.segnet import build
from mriseg.core.task import Task
from mriseg.core.volume import SliceRef
from mriseg.engine.timing import Timing, timed
from mriseg.engine.workloads import Action, BenchConfig, inference, product, training
from mriseg.errors import InputError
from mriseg.events import Advanced, Began, Recipe, finish
from mriseg.io.disk.atomic import temporary_folder
from mriseg.io.disk.documents import plain
from mriseg.io.sample import sample_dir
from mriseg.io.store import Batch, Store, frame_for, open_store
from mriseg.io.store.loader import prefetch
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews_machine
from mriseg.recipes.info_machine import MachineInfo, machine
from mriseg.recipes.preprocess import preprocess

FORMAT = "mriseg-bench"
FORMAT_VERSION = 1

_PARTS = ("matrix products", "inference", "training", "preprocessing", "reading")
# Batches that are read in a row: far more than wait in the loader and seem to take no time.
_BATCHES = 40
# Squares whose product is timed. The largest is for devices to which the one before is nothing, and
# a quick measurement stops at the first that takes any time.
_SIDES = (1024, 2048, 4096, 8192)
_NOTHING, _QUICKLY_NOTHING = 0.05, 0.005


@dataclass(frozen=True)
class Work:
    """A training step, or the inference of a batch.

    Attributes:
        seconds: for the batch.
        images_per_second: at the median.
        operations: floating-point ones, as `mriseg.core.cost` counts them.
        share: of the machine's own rate of multiplying matrices in the backend's precision, at the
            median; 1 would be all of it.
        memory: bytes at the peak, network, optimiser and activations together; None where nobody
            counts.
        memory_is: what that counts.
    """

    seconds: Timing
    images_per_second: float
    operations: int
    share: float
    memory: int | None
    memory_is: str


@dataclass(frozen=True)
class MatrixRate:
    """The best rate of multiplying square matrices.

    Attributes:
        dtype: of their numbers; float32 may be TF32, as the backend says.
        side: of the square that was best.
        operations_per_second: floating-point ones.
    """

    dtype: str
    side: int
    operations_per_second: float


@dataclass(frozen=True)
class Reading:
    """Random batches from a store, as a training reads them, from files that the system caches.

    Attributes:
        source: the store.
        cases: how many it holds.
        slices: of all of them.
        modalities: read of each slice.
        frame: height and width of a slice as read.
        batch_size: slices in a batch.
        seconds: for a batch.
        slices_per_second: at the median.
    """

    source: str
    cases: int
    slices: int
    modalities: tuple[str, ...]
    frame: tuple[int, int]
    batch_size: int
    seconds: Timing
    slices_per_second: float


@dataclass(frozen=True)
class Preprocessing:
    """The sample scans into a new store, in one process.

    Attributes:
        cases: how many they are.
        seconds: for one of them.
    """

    cases: int
    seconds: Timing


@dataclass(frozen=True, repr=False)
class BenchReport(Shown):
    """What `bench` measured.

    Attributes:
        date: when, local time, ISO 8601.
        machine: what it was measured on, the backend and all its choices among it.
        config: what was measured.
        compiled: whether training steps were compiled.
        parameters: of the network.
        products: rates of multiplying matrices, the first in the backend's precision.
        training: a step.
        inference: of a batch.
        reading: from a store.
        preprocessing: into a store.
    """

    date: str
    machine: MachineInfo
    config: BenchConfig
    compiled: bool
    parameters: int
    products: tuple[MatrixRate, ...]
    training: Work
    inference: Work
    reading: Reading
    preprocessing: Preprocessing

    def to_json(self) -> dict[str, Any]:
        """This report as JSON types."""
        values = {**self.__dict__, "config": self.config.model_dump(mode="json")}
        data: dict[str, Any] = plain({"format": FORMAT, "version": FORMAT_VERSION, **values})
        return data

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews_machine.benched(self)


def bench(
    backend: Backend, config: BenchConfig | None = None, store: Store | None = None
) -> Recipe[BenchReport]:
    """Measure this machine.

    Args:
        backend: where to compute.
        config: what to measure; None: the defaults.
        store: what to read; None: the sample in the package, preprocessed into a temporary one.

    Raises:
        InputError: the store is empty, or the package was installed without its sample.
        OutputError: there is no room for a temporary store.
    """
    return _Bench(backend, config or BenchConfig()).run(store)


class _Bench:
    """A measurement under way."""

    def __init__(self, backend: Backend, config: BenchConfig) -> None:
        self.backend, self.config = backend, config
        self.budget, self.least, self.most = (0.5, 1, 3) if config.quick else (10.0, 3, 30)

    def run(self, store: Store | None) -> Recipe[BenchReport]:
        """The whole of it."""
        config = self.config
        if store is not None and not store.index().cases:
            raise InputError(f"{store.location} holds no case; preprocess some scans into it first")
        yield Began("bench", len(_PARTS), "part")
        products = yield from self._products()
        rate = products[0].operations_per_second
        predicting = yield from self._inference(rate)
        stepping = yield from self._training(rate)
        with temporary_folder() as folder:
            preprocessing = yield from self._preprocessing(folder)
            reading = yield from self._reading(store or open_store(folder / "0.zarr"))
        yield Advanced("bench", len(_PARTS))
        return BenchReport(
            date=datetime.now().astimezone().isoformat(timespec="seconds"),
            machine=machine(self.backend),
            config=config,
            compiled=self.backend.compile == "always",
            parameters=sum(p.numel() for p in build(config.network, self.backend.ops).parameters()),
            products=products,
            training=stepping,
            inference=predicting,
            reading=reading if store else replace(reading, source="the sample in the package"),
            preprocessing=preprocessing,
        )

    def _inference(self, rate: float) -> Recipe[Work]:
        with self.backend.running():
            memory = PeakMemory(self.backend)
            predict = inference(self.backend, self.config)
            seconds = yield from self._timed("inference", predict)
            return self._work(seconds, memory, self._cost.forward, rate)

    def _training(self, rate: float) -> Recipe[Work]:
        with self.backend.running():
            memory = PeakMemory(self.backend)
            step = training(self.backend, self.config)
            seconds = yield from self._timed("training", step)
            return self._work(seconds, memory, self._cost.training, rate)

    def _products(self) -> Recipe[tuple[MatrixRate, ...]]:
        """In the backend's precision, then in float32 if that is another."""
        rates = []
        with self.backend.running(), torch.inference_mode():
            for dtype in dict.fromkeys((self.backend.dtype, torch.float32)):
                rates.append((yield from self._best_product(dtype)))
        return tuple(rates)

    def _best_product(self, dtype: torch.dtype) -> Recipe[MatrixRate]:
        name = type_name(dtype)
        best = MatrixRate(name, 0, 0.0)
        seconds = 0.0
        for side in _SIDES:
            if self._long_enough(side, seconds):
                break
            action = product(self.backend, side, dtype)
            seconds = (yield from self._timed("matrix products", action, budget=1.0)).low
            rate = 2 * side**3 / seconds
            if rate > best.operations_per_second:
                best = MatrixRate(name, side, rate)
        return best

    def _long_enough(self, side: int, seconds: float) -> bool:
        """Whether to leave ``side`` out, since half of it took ``seconds``."""
        if self.config.quick:
            return seconds > _QUICKLY_NOTHING
        return side == _SIDES[-1] and seconds > _NOTHING

    def _preprocessing(self, folder: Path) -> Recipe[Preprocessing]:
        """The sample; the first store stays, for `_reading`."""
        stores = (folder / f"{number}.zarr" for number in count())
        cases = 0

        def sample() -> None:
            nonlocal cases
            cases = len(finish(preprocess(sample_dir(), next(stores), workers=1)).cases)

        seconds = yield from self._timed("preprocessing", sample, budget=3.0)
        return Preprocessing(cases, seconds.divided(cases))

    def _reading(self, store: Store) -> Recipe[Reading]:
        """As `mriseg.recipes.fit` does it: by threads that read ahead."""
        index = store.index()
        all_there = set(DEFAULT_MODALITIES) <= set(index.modalities)
        modalities = DEFAULT_MODALITIES if all_there else index.modalities
        frame = frame_for(case.shape for case in index.cases)
        task = Task(modalities, index.regions, frame)
        slices = [SliceRef(case.name, z) for case in index.cases for z in range(case.shape[0])]

        def read(refs: tuple[SliceRef, ...]) -> Batch:
            batch = store.read(refs, task)
            for array in (batch.image, batch.target):
                self.backend.pin(torch.from_numpy(array))
            return batch

        batches = _random_batches(slices, self.config.batch_size)
        with closing(prefetch(batches, read)) as reading:  # type: ignore[type-var]
            several = yield from self._timed(
                "reading", lambda: deque(islice(reading, _BATCHES), maxlen=0), budget=3.0
            )
        seconds = several.divided(_BATCHES)
        return Reading(
            source=store.location,
            cases=len(index.cases),
            slices=len(slices),
            modalities=modalities,
            frame=frame,
            batch_size=self.config.batch_size,
            seconds=seconds,
            slices_per_second=self.config.batch_size / seconds.median,
        )

    def _timed(self, part: str, action: Action, *, budget: float | None = None) -> Recipe[Timing]:
        budget = self.budget if budget is None else min(budget, self.budget)
        seconds = []
        runs = timed(
            action, self.backend.synchronize, budget=budget, least=self.least, most=self.most
        )
        for run in runs:
            seconds.append(run)
            yield Advanced("bench", _PARTS.index(part), {f"{part}, s": run})
        return Timing.of(seconds)

    def _work(self, seconds: Timing, memory: PeakMemory, operations: int, rate: float) -> Work:
        return Work(
            seconds=seconds,
            images_per_second=self.config.batch_size / seconds.median,
            operations=operations,
            share=operations / seconds.median / rate,
            memory=memory.taken(),
            memory_is=memory.how,
        )

    @property
    def _cost(self) -> Cost:
        return cost(self.config.network, self.config.batch_size, self.config.size)


def _random_batches(slices: list[SliceRef], size: int) -> Iterator[tuple[SliceRef, ...]]:
    """Every slice once in a random order, then in another, without end."""
    waiting: list[SliceRef] = []
    for turn in count():
        waiting += [slices[i] for i in rng.permutation(len(slices), 0, "bench", turn)]
        while len(waiting) >= size:
            yield tuple(sorted(waiting[:size]))
            del waiting[:size]
