"""NVIDIA GPUs, and AMD's, which PyTorch gives the same name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch

from mriseg.backends.assemble import assemble
from mriseg.backends.base import Backend, Decision, dtype_of, type_name
from mriseg.backends.context import restoring
from mriseg.backends.fallback import Manner
from mriseg.backends.precision import fault
from mriseg.backends.verbs import DeviceVerbs


class Cuda:
    """Makes the backend of the current CUDA device."""

    def probe(self) -> tuple[bool, str]:
        """Whether PyTorch was built for GPUs and sees one."""
        if torch.version.cuda is None and torch.version.hip is None:
            return False, "this PyTorch was built without CUDA"
        if not torch.cuda.is_available():
            return False, "PyTorch sees no GPU; nvidia-smi says whether its driver does"
        return True, ""

    def make(self, precision: str, deterministic: bool, reason: str) -> Backend:
        """See `mriseg.backends.base.Spec.make`; "auto" is what the GPU multiplies in hardware."""
        # Emulated bfloat16 is slower than float16, which older GPUs have in hardware.
        native_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        device = torch.device("cuda", torch.cuda.current_device())
        auto, why = torch.float32, "asked for"
        if precision == "auto":
            auto, why = _precision(device, native_bf16, deterministic)
        dtype = dtype_of(precision, auto, ("fp32", "tf32", "bf16", "fp16"), "the CUDA backend")
        notes: tuple[str, ...] = ()
        if deterministic and "CUBLAS_WORKSPACE_CONFIG" not in os.environ:
            # cuBLAS reads it when it is first used, and under deterministic algorithms PyTorch
            # refuses to multiply matrices without it.
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
            notes += ("CUBLAS_WORKSPACE_CONFIG was set to :4096:8, for deterministic products",)
        if dtype == torch.float16:
            notes += ("float16 holds no small gradients, so training scales its loss",)
        elif dtype == torch.bfloat16 and not native_bf16:
            notes += ("bfloat16 was asked for; this GPU emulates it, and is faster in fp16",)
        # Next to half precision TF32 serves what autocast leaves in float32. "fp32" is taken at
        # its word, and so is determinism: both are asked for in order to compare numbers.
        tf32 = precision != "fp32" and not deterministic
        return assemble(
            "cuda",
            Manner(device, dtype, torch.channels_last, deterministic),
            reason=reason,
            notes=notes,
            device_name=torch.cuda.get_device_name(device),
            decisions=(
                Decision("precision", type_name(dtype), why),
                Decision(
                    "float32 products",
                    "TF32" if tf32 else "IEEE",
                    "10 bits of mantissa suffice beside half precision" if tf32 else "asked for",
                ),
                Decision("memory format", "channels_last", "tensor cores read it"),
                Decision(
                    "cuDNN",
                    "deterministic" if deterministic else "measures its kernels",
                    "asked for" if deterministic else "all batches have one shape",
                ),
                Decision("copies", "pinned, not waited for", "they overlap with computing"),
            ),
            settings=(lambda: _products(tf32=tf32, measure=not deterministic),),
            compile="never" if deterministic else "auto",
            pinned=True,
            tf32=tf32,
            own_verbs=_verbs(device),
        )


def _verbs(device: torch.device) -> DeviceVerbs:
    return DeviceVerbs(
        synchronize=partial(torch.cuda.synchronize, device),
        free_memory=partial(_free_memory, device),
        restart_peak=partial(_restart_peak, device),
        peak_memory=partial(torch.cuda.max_memory_allocated, device),
        counted="the most that tensors held on the GPU",
    )


def _free_memory(device: torch.device) -> int:
    # What PyTorch's allocator holds back for later is free as well.
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + kept


def _restart_peak(device: torch.device) -> int:
    torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.memory_allocated(device)


def _precision(
    device: torch.device, native_bf16: bool, deterministic: bool
) -> tuple[torch.dtype, str]:
    """What "auto" computes in, and why: by what the GPU has, so that it is the same each time."""
    half = torch.bfloat16 if native_bf16 else torch.float16
    why = "this GPU multiplies it" if native_bf16 else "this GPU has no bfloat16"
    if wrong := fault(Manner(device, half, torch.channels_last, deterministic)):
        return torch.float32, f"{why}, but {wrong}" if native_bf16 else wrong
    return half, why


@contextmanager
def _products(*, tf32: bool, measure: bool) -> Iterator[None]:
    """How float32 is multiplied, and whether cuDNN tries its kernels on each new shape."""
    with (
        restoring(torch.backends.cuda.matmul, allow_tf32=tf32),
        restoring(torch.backends.cudnn, allow_tf32=tf32, benchmark=measure),
    ):
        yield


BACKEND = Cuda()
