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

    Only convolutions are counted. The rest (batch normalisation, ReLU, pooling, the loss, the
    optimiser) is limited by memory bandwidth and needs hardly any arithmetic.

    Attributes:
        forward: of a prediction.
        training: of a training step. The gradients of the weights cost as much as the forward pass,
            and so do those of the inputs, except the first convolution's, whose input needs none.
    """

    forward: int
    training: int


def cost(config: SegNetConfig, batch: int, size: tuple[int, int]) -> Cost:
    """The cost of ``batch`` slices of ``size`` (h, w) in the network of ``config``.

    Nothing is computed and no memory is allocated, whatever the size: PyTorch's counter
    (`torch.utils.flop_counter`) propagates shapes only.
    """
    with torch.device("meta"):
        # The form of pooling does not matter: none of them has a convolution.
        model = SegNet(config, PURE)
        image = torch.empty(batch, config.in_channels, *size)
    with FlopCounterMode(display=False) as forward:
        logits = model(image)
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    operations = int(forward.get_total_flops())
    return Cost(operations, operations + int(backward.get_total_flops()))
