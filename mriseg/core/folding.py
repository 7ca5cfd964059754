"""Batch normalisation folded into the convolutions before it, for prediction.

In evaluation mode it is a fixed scale and shift for each channel, which the weights and the bias of
the convolution can absorb; this saves one pass over the activations (Jacob et al. 2018, arXiv
1712.05877, section 3.2).
"""

from __future__ import annotations

import copy

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mriseg.core.segnet import ConvNormReLU, SegNet


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
