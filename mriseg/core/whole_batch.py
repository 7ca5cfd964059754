"""One batch that several processes compute: what is of the whole batch, not of a process's slices.

Batch normalisation and a loss such as Dice depend on all slices of a batch at once. Here they are
computed from each process's own slices and the little that the processes tell one another, so that
a step is that of one process with all slices, but for rounding.

Nothing here knows how processes talk: `Whole` is handed the one function that it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mriseg.core.losses import Loss

Stacked = Callable[[Tensor], Tensor]
"""A tensor that every process has in the same shape -> all of them [process, ...], the same and in
the same order in each process."""


@dataclass(frozen=True)
class Whole:
    """How the slices of a batch are divided among processes, as `mriseg.core.sampling.share` does.

    Attributes:
        rank: number of this process, from 0.
        world: number of processes, each of which has a slice at least.
        batch: slices of the whole batch.
        stacked: hands a tensor of each process to all of them.
    """

    rank: int
    world: int
    batch: int
    stacked: Stacked

    @property
    def rows(self) -> slice:
        """Which rows of the whole batch are this process's."""
        return slice(self.rank, self.batch, self.world)

    def gathered(self, own: Tensor) -> Tensor:
        """The whole batch [batch, ...] in its own order, of this process's rows [b, ...]."""
        most = -(-self.batch // self.world)
        padded = own.new_zeros((most, *own.shape[1:]))
        padded[: len(own)] = own
        # Row k of process r is row k * world + r of the batch; what is filled up comes last.
        return self.stacked(padded).transpose(0, 1).flatten(0, 1)[: self.batch]

    def loss(self, loss: Loss) -> Loss:
        """``loss`` of the whole batch, from this process's logits and masks.

        Every process computes all of it. Its gradient is that of this process's logits alone, so
        those of the weights have still to be summed over the processes.
        """

        def whole(logits: Tensor, target: Tensor) -> Tensor:
            own = _Gathered.apply(logits, self)  # type: ignore[no-untyped-call]
            return loss(own, self.gathered(target))

        return whole


class _Gathered(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, whole: Whole) -> Tensor:
        ctx.rows = whole.rows
        return whole.gathered(own)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient[ctx.rows], None


@contextmanager
def normalising(model: nn.Module, whole: Whole) -> Iterator[None]:
    """Inside, batch normalisation in training mode takes its statistics from the whole batch.

    Its parameters, its running statistics and what is in evaluation mode stay as they are.

    Args:
        model: computes a process's slices.
        whole: the batch that they are of.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        # Over the class's own, and gone afterwards: a network that is copied or kept has none.
        norm.__dict__["forward"] = partial(_norm, norm, whole.stacked)
    try:
        yield
    finally:
        for norm in norms:
            norm.__dict__.pop("forward", None)


def _norm(norm: nn.BatchNorm2d, stacked: Stacked, image: Tensor) -> Tensor:
    if not norm.training:
        return nn.BatchNorm2d.forward(norm, image)
    given = (image, norm.weight, norm.bias, norm.eps, stacked)
    output, mean, variance, count = _Normalised.apply(*given)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        assert norm.running_mean is not None and norm.running_var is not None
        assert norm.num_batches_tracked is not None and norm.momentum is not None
        norm.num_batches_tracked.add_(1)
        unbiased = variance * (count / (count - 1).clamp_min(1))
        norm.running_mean.lerp_(mean.to(norm.running_mean), norm.momentum)
        norm.running_var.lerp_(unbiased.to(norm.running_var), norm.momentum)
    result: Tensor = output
    return result


class _Normalised(torch.autograd.Function):
    """Batch normalisation by the whole batch's mean and variance.

    The passes over an image are the device's own kernels, those of its evaluation mode; what is of
    the whole batch is put together by channel, in float64.
    """

    @staticmethod
    def forward(
        ctx: Any, image: Tensor, weight: Tensor, bias: Tensor, eps: float, stacked: Stacked
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean, variance, count = _statistics(image, stacked)
        ctx.eps, ctx.stacked = eps, stacked
        means, variances = mean.to(weight), variance.to(weight)
        ctx.save_for_backward(image, weight, means, variances, count)
        ctx.mark_non_differentiable(mean, variance, count)
        output = F.batch_norm(image, means, variances, weight, bias, eps=eps)
        return output, mean, variance, count

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, gradient: Tensor, *_: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None, None]:
        image, weight, mean, variance, count = ctx.saved_tensors
        # As if mean and variance were constants ...
        direct, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            *(gradient, image, weight, mean, variance, None, None),
            *(False, ctx.eps, [True, True, True]),
        )
        # ... and what follows from their being the whole batch's: the part of the gradient that is
        # constant, and the part that is proportional to the normalised image, are taken out.
        sums = ctx.stacked(torch.stack([of_weight, of_bias]).double()).sum(0) / count
        factor = weight.double() * (variance.double() + ctx.eps).rsqrt()
        slope, offset = (factor * sums).to(weight)
        indirect = F.batch_norm(image, mean, variance, slope, offset, eps=ctx.eps)
        return direct - indirect, of_weight, of_bias, None, None


def _statistics(image: Tensor, stacked: Stacked) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance [c] of the whole batch, and its count of pixels, in float64.

    Each process's mean and variance are its own, the variance about its own mean; they are put
    together as Chan et al. (1983, doi 10.1080/00031305.1983.10483115) do, which loses no digits
    where the mean is large.
    """
    channels = image.shape[1]
    # Where they are of float32, the sums are too, whatever the image is of.
    like = torch.zeros(channels, device=image.device)
    mean, variance = torch.ops.aten.batch_norm_update_stats(image, like, like + 1, 0.0)
    count = mean.new_tensor([image.numel() // channels], dtype=torch.float64)
    every = stacked(torch.cat([mean.double(), variance.double(), count]))
    means, variances, counts = every.tensor_split((channels, 2 * channels), dim=1)
    total = counts.sum()
    mean = (means * counts).sum(0) / total
    variance = ((variances + (means - mean) ** 2) * counts).sum(0) / total
    return mean, variance, total
