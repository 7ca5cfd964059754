"""Which slices of a batch made a training diverge.

Looked into once it has happened, so that no step of a training that goes well pays for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mriseg.core.volume import SliceRef


@dataclass(frozen=True)
class Suspect:
    """A slice of the batch at which a training diverged.

    Attributes:
        ref: which one.
        corrupt: whether its voxels, before anything was computed, are NaN or infinite.
        loss: its own, by the last good weights; NaN if they too give none.
    """

    ref: SliceRef
    corrupt: bool
    loss: float


def suspects(
    refs: Sequence[SliceRef],
    image: Tensor,
    target: Tensor,
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
) -> list[Suspect]:
    """The slices of a batch, the worst first.

    Args:
        refs: what the batch was read from.
        image: [b, c, h, w], on the device of ``model``.
        target: [b, r, h, w].
        model: with the last weights that were good; its batch-norm statistics are changed.
        loss: of logits and target, as it was trained with.
    """
    with torch.no_grad():
        corrupt = (~image.isfinite()).flatten(1).any(1).tolist()
        # In training mode, as it diverged; corrupt slices would spoil the others' statistics.
        logits = model.train()(image.nan_to_num(0, 0, 0)).float()
        losses = [float(loss(logits[i : i + 1], target[i : i + 1])) for i in range(len(refs))]
    slices = [Suspect(*item) for item in zip(refs, corrupt, losses, strict=True)]
    # NaN compares to nothing, so it is put before all numbers explicitly.
    return sorted(slices, key=lambda s: (not s.corrupt, s.loss == s.loss, -s.loss))
