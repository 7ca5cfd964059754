"""NVIDIA GPUs, and AMD's, which PyTorch gives the same name."""

from __future__ import annotations

import os

import torch

from mriseg.backends.base import Backend, dtype_of
from mriseg.backends.fallback import Manner, choose_ops


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
        """See `mriseg.backends.base.Spec.make`."""
        # Emulated bfloat16 is slower than float16, which older GPUs have in hardware.
        native_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        auto = torch.bfloat16 if native_bf16 else torch.float16
        dtype = dtype_of(precision, auto, ("fp32", "bf16", "fp16"), "the CUDA backend")
        device = torch.device("cuda", torch.cuda.current_device())
        notes: tuple[str, ...] = ()
        if deterministic and "CUBLAS_WORKSPACE_CONFIG" not in os.environ:
            # cuBLAS reads it when it is first used, and under deterministic algorithms PyTorch
            # refuses to multiply matrices without it.
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
            notes += ("CUBLAS_WORKSPACE_CONFIG was set to :4096:8, for deterministic products",)
        manner = Manner(device, dtype, torch.channels_last, deterministic)
        ops, passed_over = choose_ops(manner)
        notes += passed_over
        if dtype == torch.float16:
            notes += ("float16 holds no small gradients, so training scales its loss",)
        elif dtype == torch.bfloat16 and not native_bf16:
            notes += ("bfloat16 was asked for; this GPU emulates it, and is faster in fp16",)
        return Backend(
            name="cuda",
            device=device,
            dtype=dtype,
            memory_format=manner.memory_format,
            ops=ops,
            reason=reason,
            notes=notes,
            device_name=torch.cuda.get_device_name(device),
            deterministic=deterministic,
        )


BACKEND = Cuda()
