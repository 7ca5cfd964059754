"""Statistics of batch normalisation, estimated anew on slices of another distribution."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import torch
from torch import Tensor, nn

from mriseg.core.segnet import SegNet, stage_of
from mriseg.core.steps import Context


@torch.no_grad()
def estimate(
    model: SegNet,
    images: Iterable[Tensor],
    *,
    autocast: Context,
    but: Collection[str] = (),
) -> SegNet:
    """Replace every running mean and variance by the mean over ``images``; return the model.

    Another scanner or sequence shifts the features' means and scales, and this alone takes much of
    that shift away (AdaBN, Li et al. 2016, arXiv 1603.04779). And averaged weights were never run
    as they are until their average was taken (Izmailov et al. 2018, arXiv 1803.05407, section
    3.2). Weights stay as they are. Frozen stages are estimated too, and dropout is off.

    Args:
        model: changed in place; it keeps its mode and its frozen stages.
        images: batches [b, c, h, w] on its device, all of which count the same. Without any, the
            statistics are those of a fresh network.
        autocast: the context in which the network runs.
        but: stages whose statistics stay.
    """
    training = model.training
    model.eval()
    norms = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d) and stage_of(name) not in but
    ]
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
