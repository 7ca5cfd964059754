"""The exponential moving average of a network's weights, which is the result of a training.

The weights of single steps wander around a valley; their average lies in its middle (Polyak and
Juditsky 1992, doi 10.1137/0330046; as an exponential average of networks, Tarvainen and Valpola
2017, arXiv 1703.01780).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor

from mriseg.core.segnet import SegNet

# Early in a training the average spans few steps, or it would remember the random start for long.
_EARLY_STEPS = 10


def averaged(model: SegNet) -> SegNet:
    """A copy of ``model`` to average into: in evaluation mode, without gradients."""
    return copy.deepcopy(model).requires_grad_(False).eval()


def decay_at(step: int, decay: float) -> float:
    """The weight that the average keeps at step number ``step``, from 0; at most ``decay``."""
    return min(decay, (1 + step) / (_EARLY_STEPS + step))


@torch.no_grad()
def average_in(average: SegNet, model: SegNet, step: int, decay: float) -> None:
    """Update the average with the weights after a step, in place.

    The statistics of batch normalisation are averaged like weights.

    Args:
        average: from `averaged`.
        model: of the same shape, on the same device.
        step: the number of earlier updates.
        decay: in [0, 1[; with 0 the average equals the model.
    """
    share = 1 - decay_at(step, decay)
    means: list[Tensor] = []
    currents: list[Tensor] = []
    for mean, current in zip(_tensors(average), _tensors(model), strict=True):
        if mean.is_floating_point():
            means.append(mean)
            currents.append(current)
        else:  # the number of batches that batch normalisation has seen
            mean.copy_(current)
    # In one call: a narrow network's tensors are so small that calls take longer than sums.
    torch._foreach_lerp_(means, currents, share)


def _tensors(model: SegNet) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()
