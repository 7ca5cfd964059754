"""One batch that several processes compute: what is of the whole batch, not of a process's slices.

Batch normalisation and a loss such as Dice depend on all slices of a batch at once. Here they are
computed from each process's own slices and the little that the processes tell one another, so that
a step is that of one process with all slices, but for rounding; `Whole.exact` does without that.

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


# Pixels along a window's side, whose sum is taken in float32.
_WINDOW = 8


@dataclass(frozen=True)
class Whole:
    """How the slices of a batch are divided among processes, as `mriseg.core.sampling.share` does.

    Attributes:
        rank: number of this process, from 0.
        world: number of processes, each of which has a slice at least.
        batch: slices of the whole batch.
        stacked: hands a tensor of each process to all of them.
        exact: whether to compute in float32 by slice, and to add up slices in float64, so that how
            the batch is divided decides about nothing. It is slower. At the beginning of a training
            a gradient depends on rounding by a thousand times as much as its weights do, so that
            otherwise two divisions agree on three digits of it.
    """

    rank: int
    world: int
    batch: int
    stacked: Stacked
    exact: bool = False

    @property
    def rows(self) -> slice:
        """Which rows of the whole batch are this process's."""
        return slice(self.rank, self.batch, self.world)

    def gathered(self, own: Tensor) -> Tensor:
        """The whole batch [batch, ...] in its own order, of this process's rows [b, ...]."""
        if self.world == 1:
            return own.contiguous()
        most = -(-self.batch // self.world)
        padded = own.new_zeros((most, *own.shape[1:]))
        padded[: len(own)] = own
        # Row k of process r is row k * world + r of the batch; what is filled up comes last.
        return self.stacked(padded).transpose(0, 1).flatten(0, 1)[: self.batch]

    def loss(self, loss: Loss) -> Loss:
        """``loss`` of the whole batch, from this process's logits and masks.

        Every process computes all of it. Its gradient is that of this process's logits alone.
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
def sharing(model: nn.Module, whole: Whole) -> Iterator[None]:
    """Inside, what ``model`` computes of its slices is what it would compute in the whole batch.

    Batch normalisation in training mode takes its statistics from the whole batch. Its parameters,
    its running statistics and what is in evaluation mode stay as they are. Gradients of parameters
    are those of this process's slices, to be summed; where it is exact, they are the sums already.

    Args:
        model: computes a process's slices.
        whole: the batch that they are of.
    """
    changed: list[nn.Module] = []
    for module in model.modules():
        # Over the class's own, and gone afterwards: a network that is copied or kept has none.
        if isinstance(module, nn.BatchNorm2d):
            module.__dict__["forward"] = partial(_norm, module, whole)
            changed.append(module)
        elif isinstance(module, nn.Conv2d) and whole.exact:
            module.__dict__["forward"] = partial(_convolution, module, whole)
            changed.append(module)
    try:
        yield
    finally:
        for module in changed:
            module.__dict__.pop("forward", None)


def _norm(norm: nn.BatchNorm2d, whole: Whole, image: Tensor) -> Tensor:
    if not norm.training:
        return nn.BatchNorm2d.forward(norm, image)
    given = (image, norm.weight, norm.bias, norm.eps, whole)
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

    The passes over an image are the device's own kernels; what is of the whole batch is put
    together by channel, in float64.
    """

    @staticmethod
    def forward(
        ctx: Any, image: Tensor, weight: Tensor, bias: Tensor, eps: float, whole: Whole
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        mean, variance, count = _statistics(image, whole)
        ctx.eps, ctx.whole = eps, whole
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
        factor = weight.double() * (variance.double() + ctx.eps).rsqrt()
        # As if mean and variance were constants ...
        if ctx.whole.exact:
            direct = gradient * factor.to(weight)[:, None, None]
            normalised = F.batch_norm(image, mean, variance, eps=ctx.eps)
            sums = torch.stack([_sums(normalised.mul_(gradient)), _sums(gradient)], dim=1)
            total = ctx.whole.gathered(sums).sum(0)
            of_weight, of_bias = total.to(weight)
        else:
            direct, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
                *(gradient, image, weight, mean, variance, None, None),
                *(False, ctx.eps, [True, True, True]),
            )
            total = ctx.whole.stacked(torch.stack([of_weight, of_bias]).double()).sum(0)
        # ... and what follows from their being the whole batch's: the part of the gradient that is
        # constant, and the part that is proportional to the normalised image, are taken out.
        slope, offset = (factor * total / count).to(weight)
        indirect = F.batch_norm(image, mean, variance, slope, offset, eps=ctx.eps)
        return direct - indirect, of_weight, of_bias, None, None


def _statistics(image: Tensor, whole: Whole) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance [c] of the whole batch, and its count of pixels, in float64.

    Each process's mean and variance are its own, the variance about its own mean, or else each
    slice's; they are put together as Chan et al. (1983, doi 10.1080/00031305.1983.10483115) do,
    which loses no digits where the mean is large.
    """
    channels = image.shape[1]
    if whole.exact:
        pixels = image.shape[2] * image.shape[3]
        mean = _sums(image) / pixels
        centred = image - mean.to(image)[:, :, None, None]
        mean = mean.to(image).double()
        # What is left of the mean where it was rounded.
        rest = _sums(centred) / pixels
        variance = _sums(centred.square_()) / pixels - rest**2
        counts = mean.new_full((len(image), 1), pixels)
        rows = whole.gathered(torch.cat([mean + rest, variance, counts], dim=1))
    else:
        # Where they are of float32, the sums are too, whatever the image is of.
        like = torch.zeros(channels, device=image.device)
        mean, variance = torch.ops.aten.batch_norm_update_stats(image, like, like + 1, 0.0)
        count = mean.new_tensor([image.numel() // channels], dtype=torch.float64)
        rows = whole.stacked(torch.cat([mean.double(), variance.double(), count]))
    means, variances, counts = rows.tensor_split((channels, 2 * channels), dim=1)
    total = counts.sum()
    mean = (means * counts).sum(0) / total
    variance = ((variances + (means - mean) ** 2) * counts).sum(0) / total
    return mean, variance, total


def _sums(image: Tensor) -> Tensor:
    """The sum of each channel of each slice [b, c], in float64, of float32 [b, c, h, w].

    First of windows that are small enough to lose nothing, by a kernel that is fast in any layout:
    those of a sum over all pixels add one after another.
    """
    windows = F.avg_pool2d(image, _WINDOW, ceil_mode=True, divisor_override=1)
    return windows.sum((2, 3), dtype=torch.float64)


def _convolution(conv: nn.Conv2d, whole: Whole, image: Tensor) -> Tensor:
    how = (conv.stride, conv.padding, conv.dilation, conv.groups)
    output: Tensor = _Convolved.apply(image, conv.weight, conv.bias, how, whole)  # type: ignore[no-untyped-call]
    return output


class _Convolved(torch.autograd.Function):
    """A convolution of each slice by itself, whose weights get the gradient of the whole batch.

    How a kernel adds up depends on how many slices it is given at once.
    """

    @staticmethod
    def forward(
        ctx: Any, image: Tensor, weight: Tensor, bias: Tensor, how: Any, whole: Whole
    ) -> Tensor:
        ctx.how, ctx.whole = how, whole
        ctx.save_for_backward(image, weight)
        return torch.cat([F.conv2d(one, weight, bias, *how) for one in _slices(image)])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        image, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.how
        of_image, trains, _, _, _ = ctx.needs_input_grad
        total = weight.new_zeros(weight.numel() + len(weight), dtype=torch.float64)
        images = []
        for one, towards in zip(_slices(image), _slices(gradient), strict=True):
            own, of_weight, of_bias = torch.ops.aten.convolution_backward(
                *(towards, one, weight, [len(weight)], stride, padding, dilation),
                *(False, [0, 0], groups, [of_image, trains, trains]),
            )
            images.append(own)
            if trains:
                total += torch.cat([of_weight.reshape(-1), of_bias])
        back = torch.cat(images) if of_image else None
        if not trains:
            return back, None, None, None, None
        total = ctx.whole.stacked(total).sum(0).to(weight)
        of_weight, of_bias = total.tensor_split((weight.numel(),))
        return back, of_weight.view(weight.shape), of_bias, None, None


def _slices(image: Tensor) -> list[Tensor]:
    return [image[number : number + 1] for number in range(len(image))]
