"""How many slices a step's memory holds, and how long an epoch takes: both measured.

What autograd keeps for the backward pass is counted tensor by tensor, which works on any device;
steps are timed as a training takes them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from mriseg.backends.base import Backend
from mriseg.core import augment, rng
from mriseg.core.config import TrainConfig
from mriseg.core.segnet import SegNetConfig, build, init_weights_
from mriseg.engine.augmentation import augmented, why_not_there
from mriseg.engine.trainer import Trainer

MARGIN = 1.7
"""Times what autograd keeps that a step takes, which has more under way: between 1.3 and 1.65 by
width and precision, measured on a CPU."""

# Of the memory that is free now, what a training may take: others want some, too.
_SHARE = 0.9
# Steps of a full batch are timed if they take no longer than this, in seconds.
_PATIENCE = 24.0
_FEW = 2


@dataclass(frozen=True)
class Workload:
    """A training whose cost is asked for.

    Attributes:
        channels: modalities.
        classes: regions.
        width: of the network.
        size: height and width of a slice.
        batch_size: slices a step.
        slices: an epoch has.
        source: where these numbers are from, for people.
    """

    channels: int
    classes: int
    width: int
    size: tuple[int, int]
    batch_size: int
    slices: int
    source: str


@dataclass(frozen=True)
class Memory:
    """What a step takes and what there is, in bytes.

    Attributes:
        free: on the device, before anything was placed; None where it is not known.
        fixed: weights, their average and gradients, two moments of AdamW, and what autograd
            keeps of weights.
        per_slice: what autograd keeps of one slice.
        margin: times that, to be safe.
        safe_batch: the most slices of a step; None where ``free`` is not known.
    """

    free: int | None
    fixed: int
    per_slice: int
    margin: float
    safe_batch: int | None


@dataclass(frozen=True)
class Pace:
    """How fast it trains.

    Attributes:
        step: seconds for a step of the batch that was asked for.
        timed_batch: slices of the step that was timed; with fewer, ``step`` is scaled up by slice.
        batches: an epoch has.
        epoch: seconds of all its steps; neither reading that is waited for nor validating.
    """

    step: float
    timed_batch: int
    batches: int
    epoch: float


def safe_batch(free: int, fixed: int, per_slice: int, margin: float = MARGIN) -> int:
    """The most slices of a step that ``free`` bytes hold; 0: not even one."""
    return max(0, int((free * _SHARE - fixed) // (per_slice * margin)))


def measure(
    backend: Backend, workload: Workload, free: int | None, *, patience: float = _PATIENCE
) -> tuple[Memory, Pace]:
    """What a training of ``workload`` takes.

    Args:
        backend: running.
        workload: what is trained.
        free: bytes that the device has for it.
        patience: seconds that timing whole batches may take; else a few slices are timed.

    Raises:
        RuntimeError: as PyTorch raises it, where not even two slices can be trained on.
        FloatingPointError: the loss is infinite or NaN.
    """
    steps = _Steps(backend, workload)
    # The first step also makes what later ones find: kernels, and the optimiser's moments.
    (one, _), (two, few) = steps.step(1), steps.step(_FEW)
    per_slice = (two - one) // (_FEW - 1)
    weights = sum(p.numel() * p.element_size() for p in steps.trainer.model.parameters())
    fixed = 5 * weights + max(0, one - per_slice)
    batch = None if free is None else safe_batch(free, fixed, per_slice)
    memory = Memory(free, fixed, per_slice, MARGIN, batch)

    seconds, timed = few, _FEW
    fits = batch is not None and workload.batch_size <= batch
    # Twice, since the first of a size makes its kernels, and once more for what disturbed it.
    if fits and 3 * few / _FEW * workload.batch_size <= patience:
        steps.step(workload.batch_size)
        seconds, timed = (
            min(steps.step(workload.batch_size)[1] for _ in range(2)),
            workload.batch_size,
        )
    elif few * 2 <= patience:
        seconds = min(few, steps.step(_FEW)[1])
    step = seconds / timed * workload.batch_size
    batches = max(1, round(workload.slices / workload.batch_size))
    return memory, Pace(step, timed, batches, step * batches)


class _Steps:
    """Training steps on noise, which costs what slices cost, by the trainer of a training."""

    def __init__(self, backend: Backend, workload: Workload) -> None:
        self.backend, self.workload = backend, workload
        self.config = TrainConfig(width=workload.width, low_res_share=0.0)
        shape = SegNetConfig(
            in_channels=workload.channels, classes=workload.classes, width=workload.width
        )
        network = init_weights_(build(shape, backend.ops), rng.generator(0, "doctor", "capacity"))
        weight = torch.full((workload.classes, 1, 1), 3.0)
        self.trainer = Trainer(
            network, backend, self.config, pos_weight=weight, frame=workload.size
        )
        self.on_cpu = bool(why_not_there(backend))

    def step(self, slices: int) -> tuple[int, float]:
        """Bytes that autograd kept, and seconds, of a step with augmentation."""
        generator, workload = rng.generator(0, "doctor", "step"), self.workload
        image = torch.randn((slices, workload.channels, *workload.size), generator=generator)
        target = torch.randn((slices, workload.classes, *workload.size), generator=generator)
        batch = self.backend.pin(image), self.backend.pin((target > 1).to(torch.uint8))
        drawn = augment.draw(generator, self.config.augment, slices, workload.channels)
        self.backend.synchronize()
        began = time.perf_counter()
        with _counting() as kept:
            placed = augmented(self.backend, drawn, *batch, on_cpu=self.on_cpu)
            value = self.trainer.step(placed, progress=0.5)
        loss = float(value)  # waits for the device
        seconds = time.perf_counter() - began
        if not torch.tensor(loss).isfinite():
            raise FloatingPointError(f"the loss of a training step is {loss}")
        own = {_identity(parameter) for parameter in self.trainer.model.parameters()}
        return sum(size for key, size in kept.items() if key not in own), seconds


@contextmanager
def _counting() -> Iterator[dict[int, int]]:
    """What autograd keeps: identity of each storage -> bytes; several tensors may share one."""
    kept: dict[int, int] = {}
    # What is dropped again in the forward would lend its identity to a later one. It is let go when
    # the backward first asks for something, since that frees as it goes.
    alive: list[torch.UntypedStorage] = []

    def pack(tensor: Tensor) -> Tensor:
        alive.append(storage := tensor.untyped_storage())
        kept[_identity(tensor)] = storage.nbytes()
        return tensor

    def unpack(tensor: Tensor) -> Tensor:
        alive.clear()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        yield kept


def _identity(tensor: Tensor) -> int:
    # Not the address of its data, which tensors that wrap others do not have.
    return int(tensor.untyped_storage()._cdata)
