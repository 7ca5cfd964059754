"""The only code that runs or updates a model: one training step, one prediction step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import combinations

import torch
from torch import Tensor, nn

from mriseg.events import Partly, completed

Context = Callable[[], AbstractContextManager[object]]


def train_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss: Callable[[Tensor, Tensor], Tensor],
    batch: tuple[Tensor, Tensor],
    *,
    autocast: Context,
    clip: float,
    scaler: torch.amp.GradScaler | None = None,
    complete: Callable[[Sequence[Tensor]], None] | None = None,
) -> Tensor:
    """One step of gradient descent.

    Args:
        model: in training mode, on the batch's device.
        optimizer: over its trainable parameters.
        loss: (logits, target) -> scalar.
        batch: slices [b, c, h, w], and their masks [b, r, h, w] of 0 and 1.
        autocast: the context in which the network runs; the loss runs outside it, in float32.
        clip: maximum norm of the whole gradient.
        scaler: for float16, in which small gradients would underflow.
        complete: where other processes compute slices of the same batch: adds what theirs give to
            the gradients, in place, before anything is made of them.

    Returns:
        The loss, a scalar on the device (reading it waits for the device). It is NaN or infinite if
        the loss or the gradient is not finite; then the weights are not finite either, and the
        caller must stop. With a scaler such gradients are expected, and their step is skipped.
    """
    image, target = batch
    optimizer.zero_grad(set_to_none=True)
    with autocast():
        logits = model(image)
    value = loss(logits.float(), target)
    trainable = [p for p in model.parameters() if p.requires_grad]
    (value if scaler is None else scaler.scale(value)).backward()  # type: ignore[no-untyped-call]
    if complete is not None:
        complete([p.grad for p in trainable if p.grad is not None])
    if scaler is None:
        norm = nn.utils.clip_grad_norm_(trainable, clip)
        optimizer.step()
        value = torch.where(norm.isfinite(), value, norm.to(value.dtype))
    else:
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(trainable, clip)
        scaler.step(optimizer)
        scaler.update()
    return value.detach()


def predict_step(
    model: nn.Module, image: Tensor, *, autocast: Context, flips: Sequence[int] = ()
) -> Tensor:
    """Probabilities [b, r, h, w], float32, of slices [b, c, h, w].

    Args:
        model: in evaluation mode, on the batch's device.
        image: the slices.
        autocast: the context in which the network runs.
        flips: test-time augmentation: axes of the batch, any of 2 and 3. The logits are averaged
            over the slice as it is and mirrored along every combination of these axes.
    """
    return completed(predict_passes(model, image, autocast=autocast, flips=flips))


def predict_passes(
    model: nn.Module,
    image: Tensor,
    *,
    autocast: Context,
    flips: Sequence[int] = (),
    each: Callable[[Tensor], None] | None = None,
) -> Partly[Tensor]:
    """`predict_step`, which yields after each pass through the network.

    Args:
        model: see `predict_step`, as for the others.
        image: the slices.
        autocast: the context in which the network runs.
        flips: axes of the batch.
        each: called with the logits [b, r, h, w] of each pass, mirrored back; it may keep what it
            makes of them.
    """
    mirrors = [axes for count in range(len(flips) + 1) for axes in combinations(flips, count)]
    total: Tensor | None = None
    for number, axes in enumerate(mirrors, start=1):
        # Entered for each, so that whoever is told of the progress is not in inference mode.
        with torch.inference_mode(), autocast():
            logits = model(image.flip(axes) if axes else image)
            logits = (logits.flip(axes) if axes else logits).float()
            if each is not None:
                each(logits)
            total = logits if total is None else total + logits
        yield number / len(mirrors)
    assert total is not None
    with torch.inference_mode():
        return torch.sigmoid(total / len(mirrors))


def learning_rate(progress: float, peak: float, warmup: float) -> float:
    """The learning rate at ``progress`` (0 to 1) of a training.

    Linear to ``peak`` over the first ``warmup`` of it, then half a cosine down to zero (Loshchilov
    and Hutter 2017, arXiv 1608.03983, without restarts).
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup:
        return peak * max(progress / warmup, 0.02)
    return peak * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
