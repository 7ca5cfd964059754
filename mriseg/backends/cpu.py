"""The processor: every machine has one, and every other backend is compared with it."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from mriseg.backends.allocator import can_keep_memory, keeping_memory
from mriseg.backends.assemble import assemble
from mriseg.backends.base import Backend, Decision, Setting, dtype_of, type_name
from mriseg.backends.context import threads
from mriseg.backends.fallback import Manner
from mriseg.backends.machine import cores, processor

# Instructions that multiply bfloat16 in hardware, and PyTorch's private names for asking. Only
# named to the user: what is chosen is measured.
_BF16_INSTRUCTIONS = {
    "AMX": "_is_amx_tile_supported",
    "AVX512-BF16": "_is_avx512_bf16_supported",
}
# bfloat16 must be this much faster to be chosen: it rounds, and a tie is no reason to.
_WORTH = 1.1


class Cpu:
    """Makes the backend of this machine's processor."""

    def probe(self) -> tuple[bool, str]:
        """Every machine has one."""
        return True, ""

    def make(self, precision: str, deterministic: bool, reason: str) -> Backend:
        """See `mriseg.backends.base.Spec.make`; "auto" is what measures faster."""
        auto, why = torch.float32, "asked for"
        if precision == "auto":
            auto, why = _precision(deterministic)
        dtype = dtype_of(precision, auto, ("fp32", "bf16"), "the CPU backend")
        settings, decisions = _settings()
        return assemble(
            "cpu",
            Manner(torch.device("cpu"), dtype, torch.channels_last, deterministic),
            reason=reason,
            device_name=_device_name(),
            settings=settings,
            decisions=(
                Decision("precision", type_name(dtype), why),
                Decision("memory format", "channels_last", "oneDNN's convolutions work in it"),
                *decisions,
            ),
            compile="never" if deterministic else "auto",
        )


def _precision(deterministic: bool) -> tuple[torch.dtype, str]:
    """What "auto" computes in, and why.

    Measured, since a processor may have the instructions and be slower all the same; but what must
    be the same from run to run cannot hang on a measurement.
    """
    instructions = _bf16_instructions()
    if deterministic:
        dtype = torch.bfloat16 if instructions else torch.float32
        return dtype, f"this processor has {instructions or 'no instructions for bfloat16'}"
    ratio = _bf16_speed()
    by = f" ({instructions})" if instructions else ""
    if ratio >= _WORTH:
        return torch.bfloat16, f"{ratio:.1f} times as fast as float32 in a convolution{by}"
    return torch.float32, f"bfloat16 is {ratio:.1f} times as fast in a convolution{by}"


@cache
def _bf16_speed() -> float:
    """Times that a convolution, forwards and backwards, is faster in bfloat16 than in float32."""
    candidates = (torch.float32, torch.bfloat16)
    # In one thread, by turns and each at its best: whatever else the machine does at the time
    # must not decide. The first also lets oneDNN make its code.
    with keeping_memory(), threads(1):
        tries = [[_convolution_seconds(dtype) for dtype in candidates] for _ in range(8)]
    full, half = (min(seconds) for seconds in zip(*tries, strict=True))
    return float(full / half)


def _convolution_seconds(dtype: torch.dtype) -> float:
    def placed(*shape: int) -> Tensor:
        tensor = torch.full(shape, 0.5).contiguous(memory_format=torch.channels_last)
        return tensor.requires_grad_()

    image, weight = placed(1, 64, 48, 48), placed(64, 64, 3, 3)
    began = time.perf_counter()
    context = nullcontext() if dtype == torch.float32 else torch.autocast("cpu", dtype=dtype)
    with torch.enable_grad():
        with context:
            out = F.conv2d(image, weight, padding=1)
        torch.autograd.grad(out, [image, weight], torch.ones_like(out))
    return time.perf_counter() - began


def _bf16_instructions() -> str:
    """The name of the instructions that multiply bfloat16, or nothing."""
    for name, query in _BF16_INSTRUCTIONS.items():
        # Private names may go; then the answer is no.
        if getattr(torch.cpu, query, bool)():
            return name
    return ""


def _settings() -> tuple[tuple[Setting, ...], tuple[Decision, ...]]:
    """What holds while this backend runs, and why."""
    settings: list[Setting] = []
    before, wanted = torch.get_num_threads(), cores()
    if os.environ.get("OMP_NUM_THREADS"):
        threading = Decision("threads", str(before), "OMP_NUM_THREADS says so")
    elif before > wanted:
        # PyTorch counts the machine's cores; threads that share one wait for one another.
        settings.append(lambda: threads(wanted))
        threading = Decision("threads", str(wanted), f"this process may use {wanted} cores")
    else:
        threading = Decision("threads", str(before), "one per core")
    if can_keep_memory():
        settings.append(keeping_memory)
        memory = Decision(
            "freed memory", "kept for the next step", "the kernel would clear it again each time"
        )
    else:
        memory = Decision("freed memory", "as the system does", "its allocator takes no advice")
    return tuple(settings), (threading, memory)


def _device_name() -> str:
    return f"{processor()}, {torch.backends.cpu.get_cpu_capability()}"


BACKEND = Cpu()
