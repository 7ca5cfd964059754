"""Apple's GPUs, through Metal Performance Shaders.

What PyTorch gets wrong on them, and how this backend avoids it:

- batch normalisation's gradient is wrong on channels_last tensors (pytorch#175189): contiguous.
- copies that do not block may read before they are written (pytorch#139550, pytorch#189690):
  `Backend.place` blocks.
- loading weights into a model that is on the device already may go wrong (pytorch#85230): load
  on the CPU, then `Backend.place_model`.
- there is no float64: metrics are computed on the CPU, after `Backend.collect`.
- every new shape is compiled and kept (pytorch#181485): batches are filled up to one size.
- ``torch.compile`` for it is a prototype: never.
"""

from __future__ import annotations

import platform

import torch

from mriseg.backends.assemble import assemble
from mriseg.backends.base import Backend, Decision, dtype_of, type_name
from mriseg.backends.fallback import Manner
from mriseg.backends.verbs import DeviceVerbs


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
        scaled = "float16 holds no small gradients, so training scales its loss"
        return assemble(
            "mps",
            Manner(torch.device("mps"), dtype, torch.contiguous_format, deterministic),
            reason=reason,
            notes=(scaled,) if dtype == torch.float16 else (),
            device_name=f"Apple GPU, macOS {platform.mac_ver()[0]}",
            decisions=(
                Decision(
                    "precision",
                    type_name(dtype),
                    "asked for" if precision != "auto" else "autocast is young on it: by choice",
                ),
                Decision("memory format", "contiguous", "channels_last gives wrong gradients"),
                Decision("copies", "waited for", "others may be read before they are written"),
                Decision("batches", "of one shape", "every new shape is compiled and kept"),
            ),
            fixed_shapes=True,
            own_verbs=DeviceVerbs(
                synchronize=torch.mps.synchronize,
                free_memory=_free_memory,
                restart_peak=_restart_peak,
                peak_memory=torch.mps.driver_allocated_memory,
                counted="what Metal's driver gave",
            ),
        )


def _free_memory() -> int:
    return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()


def _restart_peak() -> int:
    # There is no peak to ask for; but what Metal gave is kept until the cache is emptied.
    torch.mps.empty_cache()
    return torch.mps.driver_allocated_memory()


BACKEND = Mps()
