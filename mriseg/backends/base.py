"""What a backend is: a device, how to compute on it, and the only two crossings to and from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn

from mriseg.core.ops import Ops
from mriseg.errors import BackendError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What users call each precision; "auto" leaves the choice to the backend."""

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Backend:
    """A device and the way to compute on it; made by `mriseg.backends.select`.

    Attributes:
        name: its name in the registry.
        device: where tensors go.
        dtype: what the network computes in; float32 means no autocast, and float16 that training
            needs a GradScaler.
        memory_format: of images and weights.
        ops: pool and un-pool, in the form that works here.
        reason: why ``select`` chose it, in one sentence.
        notes: what a user should know (which op fell back, and why), one sentence each.
        device_name: the hardware, for people.
        deterministic: whether `running` holds PyTorch to deterministic algorithms.
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

    def place(self, tensor: Tensor) -> Tensor:
        """The only crossing in: a CPU tensor to this device (4-D ones in its memory format)."""
        if tensor.ndim == 4:
            return tensor.to(self.device, memory_format=self.memory_format)
        return tensor.to(self.device)

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

    def running(self) -> AbstractContextManager[object]:
        """The context of a whole training or prediction; what it sets, it sets back."""
        return deterministic_algorithms() if self.deterministic else nullcontext()

    def synchronize(self) -> None:
        """Wait until the device has done all it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()


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


@contextmanager
def deterministic_algorithms() -> Iterator[None]:
    """Hold PyTorch to deterministic algorithms; an operation that has none raises RuntimeError."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


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
