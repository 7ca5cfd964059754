"""The running average of a network's weights, which is what a training gives.

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

# Early on the average is of few steps, or it would remember the random start for long.
_EARLY = 10


def averaged(model: SegNet) -> SegNet:
    """A copy of ``model`` to average into: in evaluation mode, without gradients."""
    return copy.deepcopy(model).requires_grad_(False).eval()


def decay_at(step: int, decay: float) -> float:
    """How much of the average the step with that number, from 0, leaves: at most ``decay``."""
    return min(decay, (1 + step) / (_EARLY + step))


@torch.no_grad()
def average_in(average: SegNet, model: SegNet, step: int, decay: float) -> None:
    """Take the weights after a step into the average, in place.

    Statistics of batch normalisation are averaged like weights.

    Args:
        average: from `averaged`.
        model: of the same shape, on the same device.
        step: how many steps were taken in before.
        decay: in [0, 1[; 0 makes the average the model itself.
    """
    share = 1 - decay_at(step, decay)
    for mean, now in zip(_tensors(average), _tensors(model), strict=True):
        if mean.is_floating_point():
            mean.lerp_(now, share)
        else:  # how many batches batch normalisation has seen
            mean.copy_(now)


def _tensors(model: SegNet) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()
