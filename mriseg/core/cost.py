"""What a network costs to run, in floating-point operations."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from mriseg.core.ops import PURE
from mriseg.core.segnet import SegNet, SegNetConfig


@dataclass(frozen=True)
class Cost:
    """Operations of one batch; a multiplication and the addition of its product are two.

    Only convolutions are counted. Beside them everything else (batch normalisation, ReLU, pooling,
    the loss, the optimiser) is memory traffic and hardly arithmetic.

    Attributes:
        forward: of a prediction.
        training: of a step. Gradients of weights cost as much again as the forward pass, and so do
            those of inputs, but for the first convolution's, whose input needs none.
    """

    forward: int
    training: int


def cost(config: SegNetConfig, batch: int, size: tuple[int, int]) -> Cost:
    """What ``batch`` slices of ``size`` (h, w) cost in the network of ``config``.

    Nothing is computed and no memory taken, whatever the size: PyTorch's counter
    (`torch.utils.flop_counter`) runs the network's shapes alone.
    """
    with torch.device("meta"):
        # The form of pooling decides nothing: none of them has a convolution.
        model = SegNet(config, PURE)
        image = torch.empty(batch, config.in_channels, *size)
    with FlopCounterMode(display=False) as forward:
        logits = model(image)
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    ahead = int(forward.get_total_flops())
    return Cost(ahead, ahead + int(backward.get_total_flops()))
