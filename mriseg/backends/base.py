"""What a backend is: a device, how to compute on it, and the only two crossings to and from it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mriseg.core.ops import Ops


@dataclass(frozen=True)
class Backend:
    """A device and the way to compute on it; made by `mriseg.backends.select`.

    Attributes:
        name: its name in the registry.
        device: where tensors go.
        dtype: what the network computes in; float32 means no autocast.
        memory_format: of images and weights.
        ops: pool and un-pool, in the form that works here.
        reason: why ``select`` chose it, in one sentence.
        notes: what a user should know (which op fell back, and why), one sentence each.
    """

    name: str
    device: torch.device
    dtype: torch.dtype
    memory_format: torch.memory_format
    ops: Ops
    reason: str = ""
    notes: tuple[str, ...] = ()

    def place(self, tensor: Tensor) -> Tensor:
        """The only crossing in: a CPU tensor to this device (4-D ones in its memory format)."""
        if tensor.ndim == 4:
            return tensor.to(self.device, memory_format=self.memory_format)
        return tensor.to(self.device)

    def collect(self, tensor: Tensor) -> Tensor:
        """The only crossing out: to the CPU, in float32 if it is of a floating type."""
        out = tensor.detach().to("cpu")
        return out.float() if out.is_floating_point() else out

    def place_model(self, model: nn.Module) -> nn.Module:
        """The model on this device, weights in its memory format. Load weights before, on the CPU."""
        return model.to(device=self.device, memory_format=self.memory_format)

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which the network is run."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def synchronize(self) -> None:
        """Wait until the device has done all it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()
