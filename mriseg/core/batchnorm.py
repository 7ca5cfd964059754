"""Statistics of batch normalisation, re-estimated on slices of another distribution."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from mriseg.core.segnet import SegNet, block_of
from mriseg.core.steps import Context
from mriseg.events import Partly, completed

# The largest weight of a scan's own statistics, and the number of slices at which they would weigh
# as much as the training's. Both are measured, see docs/results.md.
_MAX_SHARE = 0.5
_PRIOR_SLICES = 16


def reestimate_statistics_(
    model: SegNet,
    images: Iterable[Tensor],
    *,
    autocast: Context,
    skip: Collection[str] = (),
) -> SegNet:
    """Replace every running mean and variance by its mean over ``images``; return ``model``.

    Another scanner or sequence shifts the features' means and scales, and this alone removes much
    of that shift (AdaBN, Li et al. 2016, arXiv 1603.04779). Averaged weights need it too, because
    no forward pass was ever made with them (Izmailov et al. 2018, arXiv 1803.05407, section 3.2).
    Weights stay as they are. Frozen blocks are re-estimated too, and dropout is off.

    Args:
        model: changed in place; it keeps its mode and its frozen blocks.
        images: batches [b, c, h, w] on its device, all with equal weight. If there are none, the
            statistics are reset to those of a new network.
        autocast: the context in which the network runs.
        skip: names of blocks whose statistics stay.
    """
    return completed(reestimating_(model, images, autocast=autocast, skip=skip))


@torch.no_grad()
def reestimating_(
    model: SegNet,
    images: Iterable[Tensor],
    *,
    autocast: Context,
    skip: Collection[str] = (),
) -> Partly[SegNet]:
    """`reestimate_statistics_`, which yields the number of batches that are done."""
    training = model.training
    model.eval()
    norms = [
        module
        for name, module in model.named_modules()
        if isinstance(module, nn.BatchNorm2d) and block_of(name) not in skip
    ]
    for count, image in enumerate(_estimating(norms, images), start=1):
        with autocast():
            model(image)
        yield count
    return model.train(training)


def share_of(slices: int) -> float:
    """The weight of a scan's own statistics, given its number of slices, in [0, 0.5].

    It is 0.5 from 16 slices on. The statistics of few slices are noisy, and those of a single slice
    mostly reflect its anatomy (the weighting of Schneider et al. 2020, arXiv 2006.16971, equation
    3).
    """
    return min(_MAX_SHARE, slices / (slices + _PRIOR_SLICES))


@torch.no_grad()
def blend_statistics_(
    model: SegNet, images: Iterable[Tensor], share: float, *, autocast: Context
) -> SegNet:
    """Move the encoder's statistics towards those of ``images``, in place; return ``model``.

    A scanner's intensities shift the features' means and scales, which easily misleads a network
    trained on few patients. Statistics between the training's and the scan's own remove part of
    that shift, without labels and without training (Schneider et al. 2020, arXiv 2006.16971). The
    decoder keeps its statistics, because they also depend on how much tumour a scan shows.

    Args:
        model: changed in place; it keeps its mode and its weights.
        images: batches [b, c, h, w] of one scan, on its device. If there are none, nothing
            changes.
        share: weight of the scan's statistics: 0 keeps the training's, 1 replaces them.
        autocast: the context in which the network runs.
    """
    training = model.training
    model.eval()
    norms = [module for module in model.encoder.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [{name: value.clone() for name, value in norm.named_buffers()} for norm in norms]
    any_images = False
    for image in _estimating(norms, images):
        any_images = True
        with autocast():
            model.encode(image)
    for norm, old in zip(norms, before, strict=True):
        for name, value in norm.named_buffers():
            blended = any_images and value.is_floating_point()
            value.copy_(old[name].lerp(value, share) if blended else old[name])
    return model.train(training)


def _estimating(norms: Sequence[nn.BatchNorm2d], images: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield ``images`` one by one; at the end ``norms`` have the mean of their statistics."""
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    for count, image in enumerate(images, start=1):
        for norm in norms:
            # The mean over the batches so far. With a momentum of None PyTorch does the same, but
            # reads the count from the device at every layer.
            norm.momentum = 1 / count
        yield image
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
