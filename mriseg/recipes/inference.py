"""A case through a network: what validation, prediction and evaluation share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mriseg.backends.base import Backend
from mriseg.core.prepare import Prepared
from mriseg.core.steps import predict_step
from mriseg.core.volume import Pad, round_up

# The network pools five times; slices are padded to whole multiples of what that divides by.
MULTIPLE = 32


def frame_of(case: Prepared, frame: tuple[int, int]) -> tuple[int, int]:
    """The frame (h, w) for a case: the training's if its slices fit, else just large enough.

    One frame for all cases where possible, since some devices compile for every shape.
    """
    h, w = case.image.shape[-2:]
    if h <= frame[0] and w <= frame[1]:
        return frame
    return (round_up(max(h, MULTIPLE), MULTIPLE), round_up(max(w, MULTIPLE), MULTIPLE))


def probabilities(
    model: nn.Module,
    backend: Backend,
    case: Prepared,
    *,
    modalities: tuple[str, ...],
    frame: tuple[int, int],
    batch_size: int = 16,
    flips: bool = False,
) -> NDArray[np.float32]:
    """Probabilities [r, z, y, x] on the case's own (cropped) grid.

    Args:
        model: in evaluation mode, on the backend's device.
        backend: where it is.
        case: the case.
        modalities: the model's input channels.
        frame: the training's frame (h, w).
        batch_size: slices at a time.
        flips: average over the four mirrorings.
    """
    image = case.channels(modalities)
    target = frame_of(case, frame)
    pad = Pad.to(case.image.shape[-2:], target)
    with backend.running():
        pieces = [
            pad.inverse().apply(piece)
            for piece in _batches(model, backend, pad.apply(image), batch_size, flips)
        ]
    return np.ascontiguousarray(np.concatenate(pieces).transpose(1, 0, 2, 3))


def _batches(
    model: nn.Module, backend: Backend, image: NDArray[Any], batch_size: int, flips: bool
) -> Iterator[NDArray[np.float32]]:
    slices = np.ascontiguousarray(image.transpose(1, 0, 2, 3))
    for start in range(0, len(slices), batch_size):
        batch = backend.place(torch.from_numpy(slices[start : start + batch_size]))
        found = predict_step(model, batch, autocast=backend.autocast, flips=flips)
        yield backend.collect(found).numpy()
