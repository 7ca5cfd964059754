"""Several ranks of one batch in one process, a thread each, for tests of what they compute."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from mriseg.core.whole_batch import Whole

R = TypeVar("R")


def each(world: int, batch: int, function: Callable[[Whole], R]) -> list[R]:
    """What ``function`` gives in each of ``world`` threads that divide a batch among them."""
    barrier, given = threading.Barrier(world, timeout=60), [torch.empty(0)] * world

    def stacked(rank: int, tensor: Tensor) -> Tensor:
        given[rank] = tensor.detach().clone()
        barrier.wait()
        every = torch.stack(given)
        barrier.wait()
        return every

    def run(rank: int) -> R:
        try:
            return function(Whole(rank, world, batch, lambda tensor: stacked(rank, tensor)))
        except BaseException:
            barrier.abort()
            raise

    with ThreadPoolExecutor(world) as pool:
        return list(pool.map(run, range(world)))
