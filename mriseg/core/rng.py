"""The only source of randomness: generators named by a seed and a path.

``generator(seed, "sampler", epoch)`` gives the same stream whenever and wherever it is called, so
a resumed training, another worker or another rank draws the same numbers.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


def derive(seed: int, *path: str | int) -> int:
    """A 63-bit seed for ``path`` under ``seed``; different paths give unrelated seeds."""
    text = "/".join([str(seed), *map(str, path)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *path: str | int) -> torch.Generator:
    """A CPU generator for ``path`` under ``seed``.

    Always on the CPU, so that a GPU gets the same augmentations as a laptop.
    """
    # Imported late: the sampler, and with it the processes of preprocessing, start without torch.
    import torch

    return torch.Generator(device="cpu").manual_seed(derive(seed, *path))


def permutation(count: int, seed: int, *path: str | int) -> list[int]:
    """The numbers from 0 to ``count`` - 1 in a random order, named by ``seed`` and ``path``."""
    return [int(i) for i in order(count, seed, *path)]


def order(count: int, seed: int, *path: str | int) -> NDArray[np.int64]:
    """`permutation` as an array, for millions of numbers."""
    # PCG64 explicitly: numpy may change its default, which would reorder a resumed training.
    return np.random.Generator(np.random.PCG64(derive(seed, *path))).permutation(count)
