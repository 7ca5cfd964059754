"""A case through a network: what validation, prediction and evaluation share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mriseg.backends.base import Backend
from mriseg.backends.pointwise import relu_convolution
from mriseg.core import batchnorm, halves, resampling
from mriseg.core.copies import Copies
from mriseg.core.folding import folded, rectified
from mriseg.core.padding import padded_size
from mriseg.core.prepare import PreparedCase
from mriseg.core.segnet import SegNet
from mriseg.core.steps import predict_passes
from mriseg.core.task import Task
from mriseg.core.volume import Pad
from mriseg.events import Partly, completed, within

# Slices, spread over a case, that its statistics are taken from, or a batch of them at least:
# more say nothing new.
_SPREAD = 32

# Pixels of a batch, which a scan of large slices would else fill all memory with.
_MAX_PIXELS = 16 * 512 * 512

# Prepared intensities are standard deviations from the mean. From beyond this they might overflow.
_USUAL = 1e4

NetworkFor = Callable[[PreparedCase], nn.Module]
"""Gives a case the network that predicts it."""


def ready(model: SegNet, backend: Backend, *, plain: bool = False) -> nn.Module:
    """A copy of ``model`` that predicts: batch normalisation folded, in the backend's precision.

    Args:
        model: with its weights, on the CPU or on the device; it is left as it is.
        backend: where to predict.
        plain: only by operations that other programs have: what a file is compared with. The
            others round otherwise, which tips near-ties of pooling.
    """
    network = backend.place_model(folded(model))
    # Autocast would convert the half-precision weights again for every batch.
    network = network.to(backend.dtype)
    convolve = None if plain else relu_convolution(backend.device, backend.dtype)
    if convolve is None or not all(bool(each.isfinite().all()) for each in network.parameters()):
        return network
    return _Watched(network, rectified(network, convolve))


class _Watched(nn.Module):
    """A network in a fast form, and in its sure one for images that may give NaN.

    oneDNN's ReLU makes 0 of NaN, which would look like an empty mask where there is a fault.

    Attributes:
        sure: keeps NaN.
        fast: with the same parameters, gives the same wherever no value is NaN or overflows.
    """

    def __init__(self, sure: SegNet, fast: SegNet) -> None:
        super().__init__()
        self.sure, self.fast = sure, fast

    def forward(self, image: Tensor) -> Tensor:
        """Logits [b, r, h, w] of slices [b, c, h, w]."""
        low, high = image.aminmax()
        # False for NaN, too.
        usual = bool((low > -_USUAL) & (high < _USUAL))
        logits: Tensor = (self.fast if usual else self.sure)(image)
        return logits


def fitted(model: SegNet, backend: Backend, task: Task, *, adapt: bool) -> NetworkFor:
    """What gives each case its network, as `ready` makes it: one for all, or one of its own.

    Args:
        model: with its weights, on the CPU or on the device; it is left as it is.
        backend: where to predict.
        task: of the model.
        adapt: blend the encoder's batch-norm statistics with each case's, see
            `mriseg.core.batchnorm.blend_statistics_`.
    """
    if not adapt:
        network = ready(model, backend)
        return lambda _: network

    def adapted(case: PreparedCase) -> nn.Module:
        batches = _Batches(case, task)
        count = len(batches.slices)
        # Full batches, since empty slices would count, and each of them of the whole scan.
        parts = -(-min(count, _SPREAD) // batches.size)
        places = np.linspace(0, count - 1, parts * batches.size)
        spread = batches.slices[places.round().astype(int)]
        own = backend.place_model(copy.deepcopy(model))
        with backend.running():
            images = (batches.on(backend, spread[part::parts]) for part in range(parts))
            share = batchnorm.share_of(count)
            batchnorm.blend_statistics_(own, images, share, autocast=backend.autocast)
        return ready(own, backend)

    return adapted


def probabilities(
    network: nn.Module,
    backend: Backend,
    case: PreparedCase,
    task: Task,
    *,
    batch_size: int = 16,
    flips: Sequence[int] = (),
) -> NDArray[np.float32]:
    """Probabilities [r, z, y, x] on the case's own (cropped) grid.

    A slice with nothing in it is not computed: its probabilities are 0. Slices whose pixels differ
    from the task's are resampled for the network, and the probabilities brought back.

    Args:
        network: what `ready` gave, or a model in evaluation mode.
        backend: where it is.
        case: the case.
        task: of the network.
        batch_size: slices per batch; fewer where they are large.
        flips: as `mriseg.core.steps.predict_step` has them.
    """
    return completed(predicting(network, backend, case, task, batch_size=batch_size, flips=flips))


def predicting(
    network: nn.Module,
    backend: Backend,
    case: PreparedCase,
    task: Task,
    *,
    batch_size: int = 16,
    flips: Sequence[int] = (),
    copies: Copies | None = None,
) -> Partly[NDArray[np.float32]]:
    """`probabilities`, which yields the share of the case that is done.

    ``copies`` counts how far the mirrored copies agree. They are those that the probabilities are
    averaged over, one batch at a time.
    """
    batches = _Batches(case, task, batch_size)
    out = np.zeros((len(task.regions), *case.image.shape[1:]), dtype=np.float32)
    done, count = 0, len(batches.slices)
    thresholds = _logits_of(copies.levels, backend) if copies else None
    with backend.running():
        for z in batches:
            image = batches.on(backend, z)
            each = _Each(thresholds) if thresholds is not None else None
            passes = predict_passes(
                network, image, autocast=backend.autocast, flips=flips, each=each
            )
            output = yield from within(passes, done / count, len(z) / count)
            slices = backend.collect(output).numpy()[: len(z)]
            if copies is not None and each is not None:
                masks = [backend.collect(mask).numpy()[: len(z)] for mask in each.masks]
                copies.add(batches.in_scan(slices), [batches.in_scan(mask) for mask in masks])
            out[:, z] = batches.to_own(slices).transpose(1, 0, 2, 3)
            done += len(z)
    return out


class _Each:
    """Keeps what each pass of a batch segments, where the pass is computed."""

    def __init__(self, thresholds: Tensor) -> None:
        self._thresholds = thresholds
        self.masks: list[Tensor] = []

    def __call__(self, logits: Tensor) -> None:
        self.masks.append((logits > self._thresholds).to(torch.uint8))


def _logits_of(levels: Sequence[float], backend: Backend) -> Tensor:
    """Probabilities as logits [r, 1, 1], where the network's output is."""
    return backend.place(torch.logit(torch.tensor(levels, dtype=torch.float32)).reshape(-1, 1, 1))


class _Batches:
    """The slices of a case as a network is given them; iterating gives a batch's numbers (z).

    Attributes:
        slices: the numbers of those with something in them.
        size: slices per batch.
    """

    def __init__(self, case: PreparedCase, task: Task, batch_size: int = 16) -> None:
        # Channels that the case lacks, and slices without any, stay 0.
        self._known = [
            (channel, case.modalities.index(name))
            for channel, name in enumerate(task.modalities)
            if name in case.modalities
        ]
        self._image = case.image
        h, w = case.image.shape[-2:]
        self._resampling, _ = resampling.plan((h, w), case.geometry, task.spacing)
        given = self._resampling.network if self._resampling else (h, w)
        # One frame for all cases where possible, since some devices compile for every shape.
        frame = padded_size(given, task.frame)
        self._shape = (len(task.modalities), *frame)
        self._pad = Pad.to(given, frame)
        held = [halves.nonzero(case.image[k]).any(axis=(1, 2)) for _, k in self._known]
        self.slices = np.flatnonzero(np.any(held, axis=0))
        self.size = max(1, min(batch_size, _MAX_PIXELS // max(frame[0] * frame[1], h * w)))

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        for start in range(0, len(self.slices), self.size):
            yield self.slices[start : start + self.size]

    def on(self, backend: Backend, z: NDArray[np.int64]) -> Tensor:
        """The slices ``z`` [b, c, h, w] on a device.

        Filled up with empty slices where a shorter batch would be another shape to compile.
        """
        size = self.size if backend.fixed_shapes else len(z)
        batch = np.zeros((size, *self._shape), dtype=np.float32)
        for channel, k in self._known:
            slices = self._image[k, z]
            if self._resampling:
                slices = self._resampling.to_network(slices)
            cut, place = self._pad.windows(slices.shape[-2:])
            # Converted into its place, rather than padded first and then converted.
            batch[(slice(len(z)), channel, *place)] = slices[(..., *cut)]
        return backend.place(backend.pin(torch.from_numpy(batch)))

    def to_own(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """A network's output [b, r, ...] on the case's own slices [b, r, h, w]."""
        output = self.in_scan(output)
        return self._resampling.to_own(output) if self._resampling else output

    def in_scan(self, output: NDArray[Any]) -> NDArray[Any]:
        """A network's output [b, r, ...] without the frame around the scan, in its own pixels."""
        return self._pad.inverse().apply(output)
