"""A training's batches: read from the store ahead of their use, augmented, on the device."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence

import torch

from mriseg.backends.base import Backend
from mriseg.core import augment, rng
from mriseg.core.epoch_plan import BatchPlan, share
from mriseg.engine.augmentation import augmented, why_not_there
from mriseg.engine.trainer import Pair
from mriseg.io.store import Store
from mriseg.io.store.loader import Pace, prefetch
from mriseg.recipes.setup import Setup

# Of batches that are read ahead from a distance: how many, and their bytes.
_MOST_AHEAD = 32
_MOST_BYTES = 2**28


class Batches:
    """Reads and augments what a plan names.

    Augmentations are a function of the seed and of the step, so that a batch can be made again.
    Where several processes train together, each reads its share of every batch, which is augmented
    as it would be within the whole.

    Attributes:
        why_on_cpu: why the device cannot augment; empty where it does.
        waited: seconds in which no batch was ready, since they were last set to 0.
    """

    def __init__(self, store: Store, setup: Setup, backend: Backend) -> None:
        self.store, self.setup, self.backend = store, setup, backend
        self.why_on_cpu = why_not_there(backend)
        self.waited = 0.0
        task, size = setup.task, setup.config.batch_size
        pixels = size * task.frame[0] * task.frame[1]
        batch = pixels * (4 * len(task.modalities) + len(task.regions))
        # A store on this machine is read as fast with two threads as with any number.
        most = 4 if store.is_local else max(4, min(_MOST_AHEAD, _MOST_BYTES // batch))
        self.pace = Pace(least=4 if store.is_local else min(8, most), most=most)

    def __call__(
        self, plans: Sequence[BatchPlan], purpose: str, first: int = 0, *, whole: bool = False
    ) -> Generator[Pair, None, None]:
        """The batches of ``plans``, augmented by the draws for ``purpose`` from ``first`` on.

        With ``whole`` they are not divided among the processes that train together.
        """
        config, ranks = self.setup.config, self.backend.ranks
        divides = ranks.several and not whole
        own = [share(plan, ranks.rank, ranks.world) for plan in plans] if divides else plans
        pairs = zip(plans, self._timed(self._ahead(own)), strict=True)
        for step, (plan, (image, target)) in enumerate(pairs, first):
            generator = rng.generator(config.seed, purpose, step)
            drawn = augment.draw(generator, config.augment, len(plan.refs), image.shape[1])
            if divides:
                drawn = drawn.rows(slice(ranks.rank, None, ranks.world))
            yield augmented(self.backend, drawn, image, target, on_cpu=bool(self.why_on_cpu))

    def _ahead(self, plans: Sequence[BatchPlan]) -> Iterator[Pair]:
        return prefetch(plans, self._read, pace=self.pace)

    def _read(self, plan: BatchPlan) -> Pair:
        batch = self.store.read(plan.refs, self.setup.task)
        pin = self.backend.pin
        return pin(torch.from_numpy(batch.image)), pin(torch.from_numpy(batch.target))

    def _timed(self, batches: Iterator[Pair]) -> Iterator[Pair]:
        while True:
            asked = time.monotonic()
            batch = next(batches, None)
            self.waited += time.monotonic() - asked
            if batch is None:
                return
            yield batch
