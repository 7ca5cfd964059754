"""Apple's GPUs, through Metal Performance Shaders.

What PyTorch gets wrong there, and how this backend stays clear of it:

- batch normalisation's gradient is wrong on channels_last tensors (pytorch#175189): contiguous.
- copies that do not block may read before they are written (pytorch#139550, pytorch#189690):
  `Backend.place` blocks.
- loading weights into a model that is there already may go wrong (pytorch#85230): load on the
  CPU, then `Backend.place_model`.
- there is no float64: metrics are computed on the CPU, after `Backend.collect`.
- every new shape is compiled and kept (pytorch#181485): feed slices of one size.
"""

from __future__ import annotations

import platform

import torch

from mriseg.backends.base import Backend, dtype_of
from mriseg.backends.fallback import Manner, choose_ops


class Mps:
    """Makes the backend of an Apple GPU."""

    def probe(self) -> tuple[bool, str]:
        """Whether PyTorch was built for Metal and this system has it."""
        if not torch.backends.mps.is_built():
            return False, "this PyTorch was built without it; it takes a Mac with Apple silicon"
        if not torch.backends.mps.is_available():
            return (
                False,
                "PyTorch finds no usable GPU; it takes Apple silicon and macOS 14 or later",
            )
        return True, ""

    def make(self, precision: str, deterministic: bool, reason: str) -> Backend:
        """See `mriseg.backends.base.Spec.make`; "auto" is float32."""
        dtype = dtype_of(precision, torch.float32, ("fp32", "bf16", "fp16"), "the MPS backend")
        manner = Manner(torch.device("mps"), dtype, torch.contiguous_format, deterministic)
        ops, notes = choose_ops(manner)
        if dtype == torch.float16:
            notes += ("float16 holds no small gradients, so training scales its loss",)
        return Backend(
            name="mps",
            device=manner.device,
            dtype=dtype,
            memory_format=manner.memory_format,
            ops=ops,
            reason=reason,
            notes=notes,
            device_name=f"Apple GPU, macOS {platform.mac_ver()[0]}",
            deterministic=deterministic,
        )


BACKEND = Mps()
