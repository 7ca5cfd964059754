"""Whether a device computes correctly in a precision: tried on a convolution, never timed.

What "auto" computes in must be the same each time on a machine, or runs cannot be compared. So it
is decided by what the hardware has, and this trial, which gives the same answer each time, may
only veto it.
"""

from __future__ import annotations

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from mriseg.backends.fallback import Manner
from mriseg.errors import first_line

# Of the largest value: bfloat16 holds 8 bits, so a right result is within a fraction of this.
_TOLERANCE = 2**-5


def fault(manner: Manner) -> str:
    """What goes wrong in a convolution, forwards and backwards, that is computed in ``manner``.

    Returns:
        What it is, or nothing if the results are those of the CPU in float32, but for rounding.
    """
    names = ("result", "gradient of its input", "gradient of its weights")
    expected = _convolved(Manner(torch.device("cpu")))
    try:
        computed = _convolved(manner)
    # Whatever a kernel throws, the answer is the same: not in this precision.
    except Exception as error:
        return first_line(error)
    for name, ours, theirs in zip(names, expected, computed, strict=True):
        difference = (ours - theirs.to("cpu", torch.float32)).abs().max()
        # Negated, so that NaN is a fault.
        if not bool(difference <= _TOLERANCE * ours.abs().max()):
            return f"a convolution's {name} is wrong in it"
    return ""


def _convolved(manner: Manner) -> tuple[Tensor, ...]:
    """A convolution's result and its gradients."""
    generator = torch.Generator().manual_seed(0)

    def placed(*shape: int) -> Tensor:
        numbers = torch.randint(-2, 3, shape, generator=generator).float()
        tensor = numbers.to(manner.device).contiguous(memory_format=manner.memory_format)
        return tensor.requires_grad_()

    image, weight = placed(2, 16, 12, 12), placed(16, 16, 3, 3)
    full = manner.dtype == torch.float32
    with torch.enable_grad():
        with nullcontext() if full else torch.autocast(manner.device.type, dtype=manner.dtype):
            out = F.conv2d(image, weight, padding=1)
        gradients = torch.autograd.grad(out, [image, weight], torch.ones_like(out))
    return (out.detach(), *gradients)
