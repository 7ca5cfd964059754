"""Batch normalisation folded into the convolutions before it, for prediction.

In evaluation mode it is a fixed scale and shift for each channel, which the weights and the bias of
the convolution can absorb; this saves one pass over the activations (Jacob et al. 2018, arXiv
1712.05877, section 3.2).
"""

from __future__ import annotations

import copy
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mriseg.core.segnet import ConvNormReLU, SegNet

Convolve = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(image [b, c, h, w], weight [o, c, 3, 3], bias [o]) -> [b, o, h, w], padded by 1."""


def folded(model: SegNet) -> SegNet:
    """A copy of ``model`` in evaluation mode, without batch normalisation and without gradients.

    Its logits equal those of ``model.eval()`` up to rounding. It cannot be trained or saved as a
    run's weights, because its parameters differ.
    """
    network = copy.deepcopy(model).requires_grad_(False).eval()
    for module in network.modules():
        if isinstance(module, ConvNormReLU):
            conv, norm = module.conv, module.norm
            if isinstance(norm, nn.Identity):
                continue  # it is folded already
            assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            module.conv, module.norm = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return network


class ConvReLU(nn.Module):
    """A folded block whose convolution and ReLU are one function; its parameters keep their names.

    Attributes:
        conv: has the weight and the bias.
    """

    def __init__(self, conv: nn.Conv2d, convolve: Convolve) -> None:
        super().__init__()
        self.conv = conv
        self._convolve = convolve

    def forward(self, x: Tensor) -> Tensor:
        """[b, c, h, w] -> [b, o, h, w], not negative."""
        assert self.conv.bias is not None
        return self._convolve(x, self.conv.weight, self.conv.bias)


def rectified(network: SegNet, convolve: Convolve) -> SegNet:
    """A copy of ``network``, from `folded`, with ``convolve`` for each convolution and its ReLU.

    Its parameters are those of ``network``. The head, which no ReLU follows, stays as it is.
    """
    shared = {id(parameter): parameter for parameter in network.parameters()}
    fast = copy.deepcopy(network, shared)
    for block in (*fast.encoder.values(), *fast.decoder.values()):
        assert isinstance(block, nn.Sequential)
        for number, layer in enumerate(block):
            assert isinstance(layer, ConvNormReLU) and isinstance(layer.norm, nn.Identity)
            assert isinstance(layer.conv, nn.Conv2d)
            block[number] = ConvReLU(layer.conv, convolve)
    return fast
