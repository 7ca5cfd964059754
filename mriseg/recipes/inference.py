"""A case through a network: what validation, prediction and evaluation share."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from mriseg.backends.base import Backend
from mriseg.core.folding import folded
from mriseg.core.prepare import Prepared
from mriseg.core.segnet import SegNet
from mriseg.core.steps import predict_step
from mriseg.core.volume import Pad, round_up

# The network pools five times; slices are padded to whole multiples of what that divides by.
MULTIPLE = 32

# Pixels of a batch, which a scan of large slices would else fill all memory with.
_MOST = 16 * 512 * 512


def ready(model: SegNet, backend: Backend) -> nn.Module:
    """A copy of ``model`` that predicts: batch normalisation folded, in the backend's precision.

    Args:
        model: with its weights, on the CPU or on the device; it is left as it is.
        backend: where to predict.
    """
    network = backend.place_model(folded(model))
    # Autocast would make the half-precision weights anew for every batch.
    return network.to(backend.dtype)


def frame_of(case: Prepared, frame: tuple[int, int]) -> tuple[int, int]:
    """The frame (h, w) for a case: the training's if its slices fit, else just large enough.

    One frame for all cases where possible, since some devices compile for every shape.
    """
    h, w = case.image.shape[-2:]
    if h <= frame[0] and w <= frame[1]:
        return frame
    return (round_up(max(h, MULTIPLE), MULTIPLE), round_up(max(w, MULTIPLE), MULTIPLE))


def probabilities(
    network: nn.Module,
    backend: Backend,
    case: Prepared,
    *,
    modalities: tuple[str, ...],
    regions: int,
    frame: tuple[int, int],
    batch_size: int = 16,
    flips: bool = False,
) -> NDArray[np.float32]:
    """Probabilities [r, z, y, x] on the case's own (cropped) grid.

    A slice with nothing in it is not computed: its probabilities are 0.

    Args:
        network: what `ready` gave, or a model in evaluation mode.
        backend: where it is.
        case: the case.
        modalities: the model's input channels.
        regions: how many output channels it has.
        frame: the training's frame (h, w).
        batch_size: slices at a time; fewer where they are large.
        flips: average over the four mirrorings.
    """
    depth, *plane = case.image.shape[1:]
    out = np.zeros((regions, depth, *plane), dtype=np.float32)
    # Channels that the case lacks, and slices without any, stay 0.
    known = [
        (i, case.modalities.index(m)) for i, m in enumerate(modalities) if m in case.modalities
    ]
    kept = np.flatnonzero(case.image[[k for _, k in known]].any(axis=(0, 2, 3)))
    target = frame_of(case, frame)
    batch_size = max(1, min(batch_size, _MOST // (target[0] * target[1])))
    pad = Pad.to((plane[0], plane[1]), target)
    with backend.running():
        for start in range(0, len(kept), batch_size):
            z = kept[start : start + batch_size]
            # Filled up with empty slices where a shorter batch would be another shape to compile.
            size = batch_size if backend.fixed_shapes else len(z)
            batch = np.zeros((size, len(modalities), *target), dtype=np.float32)
            for channel, k in known:
                batch[: len(z), channel] = pad.apply(case.image[k, z])
            found = _predicted(network, backend, batch, flips)[: len(z)]
            out[:, z] = pad.inverse().apply(found).transpose(1, 0, 2, 3)
    return out


def _predicted(
    network: nn.Module, backend: Backend, batch: NDArray[np.float32], flips: bool
) -> NDArray[np.float32]:
    image = backend.place(backend.stage(torch.from_numpy(batch)))
    found = predict_step(network, image, autocast=backend.autocast, flips=flips)
    return backend.collect(found).numpy()
