"""Statistics of batch normalisation, estimated anew on slices of another distribution."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mriseg.core.segnet import SegNet
from mriseg.core.steps import Context


@torch.no_grad()
def estimate(model: SegNet, images: Iterable[Tensor], *, autocast: Context) -> SegNet:
    """Replace every running mean and variance by the mean over ``images``; return the model.

    Another scanner or sequence shifts the features' means and scales, and this alone takes much of
    that shift away (AdaBN, Li et al. 2016, arXiv 1603.04779). Weights stay as they are. Frozen
    stages are estimated too, and dropout is off.

    Args:
        model: changed in place; it keeps its mode and its frozen stages.
        images: batches [b, c, h, w] on its device, all of which count the same. Without any, the
            statistics are those of a fresh network.
        autocast: the context in which the network runs.
    """
    training = model.training
    model.eval()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's way to say: the mean over all batches so far
        norm.train()
    for image in images:
        with autocast():
            model(image)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.train(training)
