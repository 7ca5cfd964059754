"""Finding the form of pooling and un-pooling that works on a device, by trying it there.

Which kernels a device has, and which of them are right, changes from one release of PyTorch to the
next; a table of it would be wrong sooner or later. So each form is run once on a tiny tensor,
forwards and backwards, and compared with the plain arithmetic on the CPU. What fails is passed
over, down to computing these two operations, and nothing else, on the CPU.

PyTorch's own switch for that, PYTORCH_ENABLE_MPS_FALLBACK, is left alone: it is read once when
PyTorch loads, holds for every operation, and makes a slow run look like a fast one.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from mriseg.backends.base import deterministic_algorithms
from mriseg.core.ops import NATIVE, PURE, SCATTER, Ops
from mriseg.errors import BackendError


@dataclass(frozen=True)
class Manner:
    """How a backend computes, which is how its operations are tried."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    memory_format: torch.memory_format = torch.contiguous_format
    deterministic: bool = False


@dataclass(frozen=True)
class Probe:
    """Whether a form works somewhere, and if not, why."""

    ok: bool
    reason: str = ""


def probe(ops: Ops, manner: Manner) -> Probe:
    """Try ``ops`` in this manner, against the pure form on the CPU.

    The tensor has an odd size, ties and windows that are all zero, as after a ReLU.
    """
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(-4, 5, (2, 3, 7, 9), generator=generator).clamp(min=0).float()
    expected = _run(PURE, image)
    context = deterministic_algorithms() if manner.deterministic else nullcontext()
    try:
        with context:
            there = image.to(manner.device, manner.dtype, memory_format=manner.memory_format)
            found = [tensor.to("cpu", torch.float32) for tensor in _run(ops, there)]
    # Whatever a kernel throws, the answer is the same: not this one.
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        message = textwrap.shorten(lines[0], 200, placeholder=" ...")
        return Probe(False, f"{type(error).__name__}: {message}")
    for what, ours, theirs in zip(_RESULTS, expected, found, strict=True):
        if not torch.equal(ours, theirs):
            return Probe(False, f"its {what} differ from the CPU's")
    return Probe(True)


_RESULTS = ("pooled values", "un-pooled values", "gradients")


def _run(ops: Ops, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pooled, un-pooled, and the gradient of a sum of both that weighs every element its own way.

    All are small whole numbers, which bfloat16 and float16 hold exactly.
    """
    with torch.enable_grad():
        x = image.detach().requires_grad_()
        pooled, code = ops.pool(x)
        unpooled = ops.unpool(pooled * 2, code, (x.shape[2], x.shape[3]))
        weights = [_weights(pooled), _weights(unpooled)]
        (gradient,) = torch.autograd.grad([pooled, unpooled], [x], weights)
    return pooled.detach(), unpooled.detach(), gradient


def _weights(like: Tensor) -> Tensor:
    numbers = torch.arange(like.numel()) % 13 - 5
    return numbers.view(like.shape).to(like.device, like.dtype)


def first_working(candidates: Sequence[Ops], manner: Manner) -> tuple[Ops, tuple[str, ...]]:
    """The first of ``candidates`` that works in this manner.

    Returns:
        It, and for each that was passed over a sentence that says why and what took its place.

    Raises:
        BackendError: none works; the message gives each one's reason.
    """
    failed: list[str] = []
    for ops in candidates:
        result = probe(ops, manner)
        if result.ok:
            return ops, tuple(f"{failure}; {ops.name} is used instead" for failure in failed)
        failed.append(f"{ops.name} un-pooling does not work on {manner.device} ({result.reason})")
    raise BackendError(
        f"no form of max un-pooling works on {manner.device}: {'; '.join(failed)}. "
        f"Use --backend cpu, or another version of PyTorch than {torch.__version__}"
    )


def choose_ops(manner: Manner) -> tuple[Ops, tuple[str, ...]]:
    """`first_working` of all forms: on the device, native before the others; then on the CPU.

    In a deterministic manner the native form is left out: it never is.
    """
    if manner.deterministic:
        return first_working((SCATTER, PURE, round_trip(SCATTER)), manner)
    return first_working((NATIVE, SCATTER, PURE, round_trip(NATIVE)), manner)


def round_trip(ops: Ops) -> Ops:
    """``ops`` computed on the CPU, for tensors that are elsewhere and come back.

    Moving a tensor is differentiable, so gradients make the same trip. The code stays on the CPU,
    where its un-pooling will want it.
    """

    def pool(x: Tensor) -> tuple[Tensor, Tensor]:
        values, code = ops.pool(x.to("cpu"))
        return values.to(x.device), code

    def unpool(values: Tensor, code: Tensor, size: tuple[int, int]) -> Tensor:
        return ops.unpool(values.to("cpu"), code, size).to(values.device)

    return Ops(f"{ops.name} on the CPU", pool, unpool)
