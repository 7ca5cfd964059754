"""The processor: every machine has one, and every other backend is compared with it."""

from __future__ import annotations

import os
from typing import Any

import torch

from mriseg.backends.allocator import can_keep_memory, keeping_memory
from mriseg.backends.assemble import assemble
from mriseg.backends.base import Backend, Decision, Setting, dtype_of, type_name
from mriseg.backends.context import threads
from mriseg.backends.fallback import Manner
from mriseg.backends.machine import cores, processor
from mriseg.backends.precision import fault

# Instructions that multiply bfloat16 in hardware: what `torch.cpu.get_capabilities` calls them, and
# the private name for asking a PyTorch that is too old for that.
_BF16_INSTRUCTIONS = {
    "AMX": ("amx_bf16", "_is_amx_tile_supported"),
    "AVX512-BF16": ("avx512_bf16", "_is_avx512_bf16_supported"),
}


class Cpu:
    """Makes the backend of this machine's processor."""

    def probe(self) -> tuple[bool, str]:
        """Every machine has one."""
        return True, ""

    def make(self, precision: str, deterministic: bool, reason: str) -> Backend:
        """See `mriseg.backends.base.Spec.make`; "auto" is what it multiplies in hardware."""
        auto, why = torch.float32, "asked for"
        if precision == "auto":
            auto, why = _precision(deterministic)
        dtype = dtype_of(precision, auto, ("fp32", "bf16"), "the CPU backend")
        settings, decisions = _settings()
        return assemble(
            "cpu",
            _manner(dtype, deterministic),
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

    By what the processor has, so that it is the same whatever else the machine does meanwhile, and
    in every run. A processor without these instructions only imitates bfloat16.
    """
    instructions = _bf16_instructions()
    if not instructions:
        return torch.float32, "this processor has no instructions for bfloat16"
    wrong = fault(_manner(torch.bfloat16, deterministic))
    if wrong:
        return torch.float32, f"this processor has {instructions} for bfloat16, but {wrong}"
    return torch.bfloat16, f"this processor has instructions for it ({instructions})"


def _manner(dtype: torch.dtype, deterministic: bool) -> Manner:
    return Manner(torch.device("cpu"), dtype, torch.channels_last, deterministic)


def _bf16_instructions() -> str:
    """The name of the instructions that multiply bfloat16, or nothing."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    for name, (capability, query) in _BF16_INSTRUCTIONS.items():
        if capability in capabilities:
            present = capabilities[capability]
        else:
            # Private names may go; then the answer is no.
            present = getattr(torch.cpu, query, bool)()
        if present:
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
