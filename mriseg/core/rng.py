"""The only source of randomness: generators named by a seed and a path.

``generator(seed, "sampler", epoch)`` gives the same stream whenever and wherever it is asked for,
so a resumed training, another worker or another rank draws what it would have drawn.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive(seed: int, *path: str | int) -> int:
    """A 63-bit seed for ``path`` under ``seed``; different paths give unrelated seeds."""
    text = "/".join([str(seed), *map(str, path)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *path: str | int) -> torch.Generator:
    """A CPU generator for ``path`` under ``seed``.

    On the CPU whatever the device, so that a GPU draws the same augmentations as a laptop.
    """
    # Here, so that the sampler, and with it preprocessing's processes, start without torch.
    import torch

    return torch.Generator(device="cpu").manual_seed(derive(seed, *path))


def permutation(count: int, seed: int, *path: str | int) -> list[int]:
    """The numbers below ``count`` in the random order that ``path`` names under ``seed``."""
    # PCG64 by name: numpy may change its default, and with it the order of a resumed training.
    order = np.random.Generator(np.random.PCG64(derive(seed, *path))).permutation(count)
    return [int(i) for i in order]
