"""Statistics of batch normalisation, estimated anew on slices of another distribution."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from mriseg.core.segnet import SegNet, stage_of
from mriseg.core.steps import Context

# How far a scan's own statistics are followed, and how many slices weigh as much as all that the
# training's are worth: both by measurement, see docs/results.md.
_MOST = 0.5
_PRIOR = 16


@torch.no_grad()
def reestimate_statistics(
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
    for image in _estimating(norms, images):
        with autocast():
            model(image)
    return model.train(training)


def share_of(slices: int) -> float:
    """How far the statistics of a scan of so many slices are to be followed, in [0, 0.5].

    Half of the way from 16 slices on. Few slices say little, and a lone one is mostly what happens
    to be in it (Schneider et al. 2020, arXiv 2006.16971, equation 3, weigh them alike).
    """
    return min(_MOST, slices / (slices + _PRIOR))


@torch.no_grad()
def blend_statistics(
    model: SegNet, images: Iterable[Tensor], share: float, *, autocast: Context
) -> SegNet:
    """Move the encoder's statistics towards those of ``images``, in place; return the model.

    What a scanner does to intensities shifts the features' means and scales, and a network of few
    patients' scans is easily misled by it. Statistics between the training's and the scan's own
    take part of that away, without labels and without a step of training (Schneider et al. 2020,
    arXiv 2006.16971). The decoder keeps its own: how much tumour a scan holds moves those too.

    Args:
        model: changed in place; it keeps its mode and its weights.
        images: batches [b, c, h, w] of one scan, on its device. Without any, nothing changes.
        share: how far: 0 is not at all, 1 all the way.
        autocast: the context in which the network runs.
    """
    training = model.training
    model.eval()
    norms = [module for module in model.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [{name: value.clone() for name, value in norm.named_buffers()} for norm in norms]
    met = False
    for image in _estimating(norms, images):
        met = True
        with autocast():
            model.encode(image)
    for norm, old in zip(norms, before, strict=True):
        for name, value in norm.named_buffers():
            between = met and value.is_floating_point()
            value.copy_(old[name].lerp(value, share) if between else old[name])
    return model.train(training)


def _estimating(norms: Sequence[nn.BatchNorm2d], images: Iterable[Tensor]) -> Iterator[Tensor]:
    """``images``, one after another, whose mean statistics ``norms`` have at the end."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    for count, image in enumerate(images, start=1):
        for norm in norms:
            # The mean over the batches so far. Without any momentum PyTorch does the same, and
            # asks the device for the count at every layer.
            norm.momentum = 1 / count
        yield image
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
