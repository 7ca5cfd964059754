"""What a backend is: a device, how to compute on it, and the only two crossings to and from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor, nn

from mriseg.backends.context import deterministic_algorithms, restoring
from mriseg.backends.ranks import ALONE, Ranks
from mriseg.backends.verbs import DeviceVerbs, verbs_of
from mriseg.core.choice import Choice
from mriseg.core.ops import Ops
from mriseg.errors import BackendError

DTYPES = {
    "fp32": torch.float32,
    "tf32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}
"""What users call each precision; "auto" leaves the choice to the backend.

"tf32" is float32 in memory, multiplied with 10 bits of mantissa, which NVIDIA's GPUs can.
"""

COMPILE = ("auto", "always", "never")
"""What users may say of ``torch.compile``."""

M = TypeVar("M", bound=nn.Module)

Setting = Callable[[], AbstractContextManager[None]]
"""Something that holds while a backend runs, and is as it was before afterwards."""


class Decision(NamedTuple):
    """One thing that a backend decided: what, how, and why; the last two for people."""

    what: str
    how: str
    why: str


@dataclass(frozen=True)
class Backend:
    """A device and the way to compute on it; made by `mriseg.backends.select`.

    Attributes:
        name: its name in the registry.
        device: where tensors go.
        dtype: what the network computes in; float32 means no autocast, and float16 that training
            needs a GradScaler.
        memory_format: of images and weights.
        ops: pool and un-pool, in the form that works on the device.
        reason: why ``select`` chose it, in one sentence.
        notes: what a user should know (which op fell back, and why), one sentence each.
        device_name: the hardware, for people.
        deterministic: whether `running` holds PyTorch to deterministic algorithms.
        settings: what `running` sets, and sets back: threads, the allocator, cuDNN's ways.
        decisions: what was decided, how and why; `mriseg info` prints them.
        compile: whether a training compiles its network: "never", "always", or "auto", which
            tries it in a training that is long enough and keeps what is faster.
        fixed_shapes: whether every new shape of a batch costs time or memory for good, so that
            batches are filled up rather than cut short.
        pinned: whether batches are put into page-locked memory, from which copies to the device
            need not be waited for.
        tf32: whether `running` lets float32 be multiplied with 10 bits of mantissa.
        own_verbs: how this kind of device is waited for and asked about its memory; None: by
            PyTorch's common names, see `mriseg.backends.verbs.verbs_of`.
        ranks: the processes that train together on it; as a rule this one alone.
        asked: how it was asked for, so that a worker can be asked for the same; None: it was not
            made by `mriseg.backends.select`.
    """

    name: str
    device: torch.device
    dtype: torch.dtype
    memory_format: torch.memory_format
    ops: Ops
    reason: str = ""
    notes: tuple[str, ...] = ()
    device_name: str = ""
    deterministic: bool = False
    settings: tuple[Setting, ...] = ()
    decisions: tuple[Decision, ...] = ()
    compile: str = "never"
    fixed_shapes: bool = False
    pinned: bool = False
    tf32: bool = False
    own_verbs: DeviceVerbs | None = None
    ranks: Ranks = ALONE
    asked: Choice | None = None

    @property
    def choice(self) -> Choice:
        """How to ask for the same elsewhere."""
        if self.asked is not None:
            return self.asked
        kinds = {kind: name for name, kind in DTYPES.items() if name != "tf32"}
        precision = "tf32" if self.tf32 else kinds[self.dtype]
        return Choice(self.name, precision, self.deterministic, self.compile)

    @property
    def verbs(self) -> DeviceVerbs:
        """How the device is waited for and asked about its memory."""
        return self.own_verbs or verbs_of(self.device)

    def pin(self, tensor: Tensor) -> Tensor:
        """What a loader's thread does to a batch, so that `place` need not wait for the copy."""
        return tensor.pin_memory() if self.pinned else tensor

    def place(self, tensor: Tensor) -> Tensor:
        """The only crossing in: a CPU tensor to this device (4-D ones in its memory format)."""
        # Not waiting for a copy is safe from pinned memory only: PyTorch keeps the source until
        # it is done.
        unwaited = self.pinned and tensor.is_pinned()
        if self.memory_format == torch.contiguous_format:
            # A device that gets channels_last wrong never sees such a tensor.
            tensor = tensor.contiguous()
        if tensor.ndim == 4:
            placed = tensor.to(self.device, non_blocking=unwaited)
            return placed.contiguous(memory_format=self.memory_format)
        return tensor.to(self.device, non_blocking=unwaited)

    def collect(self, tensor: Tensor) -> Tensor:
        """The only crossing out: to the CPU, in float32 if it is of a floating type."""
        out = tensor.detach().to("cpu")
        return out.float() if out.is_floating_point() else out

    def place_model(self, model: M) -> M:
        """The model on this device, weights in its memory format; load them before, on the CPU."""
        placed: M = model.to(device=self.device, memory_format=self.memory_format)  # type: ignore[call-overload]
        return placed

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which the network is run."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def scaler(self) -> torch.amp.GradScaler | None:
        """What keeps a training's small gradients from vanishing in float16; else None."""
        half = self.dtype == torch.float16
        return torch.amp.GradScaler(self.device.type) if half else None

    @contextmanager
    def running(self) -> Iterator[None]:
        """The context of a whole training or prediction; what it sets, it sets back."""
        with ExitStack() as stack:
            for setting in self.settings:
                stack.enter_context(setting())
            if self.deterministic:
                stack.enter_context(deterministic_algorithms())
            yield

    @contextmanager
    def in_full(self) -> Iterator[None]:
        """Inside `running`: float32 is multiplied with all of its mantissa, whatever was chosen."""
        with (
            restoring(torch.backends.cuda.matmul, allow_tf32=False),
            restoring(torch.backends.cudnn, allow_tf32=False),
        ):
            yield

    def synchronize(self) -> None:
        """Wait until the device has done all it was given."""
        self.verbs.synchronize()

    def free_memory(self) -> int | None:
        """Bytes of the device's memory that this process can still take; None: it is not known."""
        return self.verbs.free_memory()


def type_name(kind: torch.dtype | torch.memory_format) -> str:
    """What PyTorch calls a number type or memory format, without "torch."."""
    return str(kind).removeprefix("torch.")


class Spec(Protocol):
    """What a backend's module offers to the registry."""

    def probe(self) -> tuple[bool, str]:
        """Whether this machine has the device, and if not, why; cheap, and changes nothing."""

    def make(self, precision: str, deterministic: bool, reason: str) -> Backend:
        """The backend, on a machine that has the device.

        Args:
            precision: "auto" or a name in `DTYPES`.
            deterministic: same input, same bits, at the price of speed.
            reason: why it was chosen.

        Raises:
            BackendError: the device cannot do what was asked.
        """


def dtype_of(
    precision: str, auto: torch.dtype, supported: tuple[str, ...], where: str
) -> torch.dtype:
    """The type that ``precision`` names, ``auto`` for "auto".

    Raises:
        BackendError: it is not among the ``supported`` ones of the device ``where``.
    """
    if precision == "auto":
        return auto
    if precision not in supported:
        raise BackendError(
            f"{where} does not compute in {precision}; choose {', '.join(supported)} or auto"
        )
    return DTYPES[precision]
