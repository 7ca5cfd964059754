"""A case through a network: what validation, prediction and evaluation share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mriseg.backends.base import Backend
from mriseg.core import batchnorm
from mriseg.core.folding import folded
from mriseg.core.padding import padded_size
from mriseg.core.prepare import PreparedCase
from mriseg.core.refine import refine
from mriseg.core.segnet import SegNet
from mriseg.core.steps import predict_step
from mriseg.core.volume import Pad

# Slices, spread over a case, that its statistics are taken from, or a batch of them at least:
# more say nothing new.
_SPREAD = 32

# Pixels of a batch, which a scan of large slices would else fill all memory with.
_MOST = 16 * 512 * 512

Fitted = Callable[[PreparedCase], nn.Module]
"""Gives a case the network that predicts it."""


def ready(model: SegNet, backend: Backend) -> nn.Module:
    """A copy of ``model`` that predicts: batch normalisation folded, in the backend's precision.

    Args:
        model: with its weights, on the CPU or on the device; it is left as it is.
        backend: where to predict.
    """
    network = backend.place_model(folded(model))
    # Autocast would make the half-precision weights anew for every batch.
    return network.to(backend.dtype)


def fitted(
    model: SegNet,
    backend: Backend,
    *,
    modalities: tuple[str, ...],
    frame: tuple[int, int],
    adapt: bool,
) -> Fitted:
    """What gives each case its network, as `ready` makes it: one for all, or one of its own.

    Args:
        model: with its weights, on the CPU or on the device; it is left as it is.
        backend: where to predict.
        modalities: the model's input channels.
        frame: the training's frame (h, w).
        adapt: blend the encoder's batch-norm statistics with each case's, see
            `mriseg.core.batchnorm.blend_statistics`.
    """
    if not adapt:
        network = ready(model, backend)
        return lambda _: network

    def follow(case: PreparedCase) -> nn.Module:
        batches = _Batches(case, modalities, frame)
        count = len(batches.kept)
        # Full batches, since empty slices would count, and each of them of the whole scan.
        parts = -(-min(count, _SPREAD) // batches.size)
        places = np.linspace(0, count - 1, parts * batches.size)
        spread = batches.kept[places.round().astype(int)]
        own = backend.place_model(copy.deepcopy(model))
        with backend.running():
            images = (batches.on(backend, spread[part::parts]) for part in range(parts))
            share = batchnorm.share_of(count)
            batchnorm.blend_statistics(own, images, share, autocast=backend.autocast)
        return ready(own, backend)

    return follow


def frame_of(case: PreparedCase, frame: tuple[int, int]) -> tuple[int, int]:
    """The frame (h, w) for a case: along each axis the training's, or else just large enough.

    One frame for all cases where possible, since some devices compile for every shape.
    """
    h, w = case.image.shape[-2:]
    return padded_size((h, w), frame)


def probabilities(
    network: nn.Module,
    backend: Backend,
    case: PreparedCase,
    *,
    modalities: tuple[str, ...],
    regions: int,
    frame: tuple[int, int],
    batch_size: int = 16,
    flips: Sequence[int] = (),
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
        flips: as `mriseg.core.steps.predict_step` has them.
    """
    batches = _Batches(case, modalities, frame, batch_size)
    out = np.zeros((regions, *case.image.shape[1:]), dtype=np.float32)
    with backend.running():
        for z in batches:
            image = batches.on(backend, z)
            found = predict_step(network, image, autocast=backend.autocast, flips=flips)
            slices = backend.collect(found).numpy()[: len(z)]
            out[:, z] = batches.pad.inverse().apply(slices).transpose(1, 0, 2, 3)
    return out


def refined(
    found: NDArray[np.float32],
    case: PreparedCase,
    modalities: tuple[str, ...],
    platt: Sequence[tuple[float, float]] = (),
) -> NDArray[np.float32]:
    """`mriseg.core.refine.refine` of what `probabilities` gave for a case.

    Args:
        found: probabilities [r, z, y, x]; all finite.
        case: the case.
        modalities: the model's input channels; what else the case has is not looked at.
        platt: of each region, the scale and shift of its calibration; empty: it has none.
    """
    known = tuple(m for m in modalities if m in case.modalities)
    return refine(found, case.channels(known), platt)


class _Batches:
    """The slices of a case as a network is given them; iterating gives a batch's numbers (z).

    Attributes:
        kept: the slices with something in them.
        pad: what makes them as large as the network's frame.
        size: slices of a batch.
    """

    def __init__(
        self,
        case: PreparedCase,
        modalities: tuple[str, ...],
        frame: tuple[int, int],
        batch_size: int = 16,
    ) -> None:
        # Channels that the case lacks, and slices without any, stay 0.
        self._known = [
            (i, case.modalities.index(m)) for i, m in enumerate(modalities) if m in case.modalities
        ]
        self._image = case.image
        self._shape = (len(modalities), *(target := frame_of(case, frame)))
        h, w = case.image.shape[-2:]
        self.pad = Pad.to((h, w), target)
        self.kept = np.flatnonzero(case.image[[k for _, k in self._known]].any(axis=(0, 2, 3)))
        self.size = max(1, min(batch_size, _MOST // (target[0] * target[1])))

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        for start in range(0, len(self.kept), self.size):
            yield self.kept[start : start + self.size]

    def on(self, backend: Backend, z: NDArray[np.int64]) -> Tensor:
        """The slices ``z`` [b, c, h, w] on a device.

        Filled up with empty slices where a shorter batch would be another shape to compile.
        """
        size = self.size if backend.fixed_shapes else len(z)
        batch = np.zeros((size, *self._shape), dtype=np.float32)
        for channel, k in self._known:
            batch[: len(z), channel] = self.pad.apply(self._image[k, z])
        return backend.place(backend.pin(torch.from_numpy(batch)))
