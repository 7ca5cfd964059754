"""A convolution that ends with its ReLU: on a CPU, oneDNN does both in one pass over the result.

PyTorch offers it only under a private name, which `torch.compile` uses. So it is tried: where it is
missing, or gives anything but the two in turn, they are computed in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

# Of the largest value; the two differ by rounding at most, and bfloat16 holds 8 bits.
_TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2**-7}


def relu_convolution(
    device: torch.device, dtype: torch.dtype
) -> Callable[[Tensor, Tensor, Tensor], Tensor] | None:
    """A 3x3 convolution, padded by 1, with a ReLU: (image, weight, bias) -> result.

    Its gradient is not defined, and where the convolution gives NaN, it gives 0. The image may be
    of another type than ``dtype``, which the weight and the bias have.

    Returns:
        The function; None where there is none, or it is wrong there.
    """
    # Whoever turns oneDNN off means it.
    usable = device.type == "cpu" and dtype in _TOLERANCE and torch.backends.mkldnn.enabled
    return _convolve if usable and _is_right(dtype) else None


def _convolve(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    # Autocast knows nothing of private operators: a first image is still of float32.
    result: Tensor = torch.ops.mkldnn._convolution_pointwise(
        image.to(weight.dtype), weight, bias, [1, 1], [1, 1], [1, 1], 1, "relu", [], ""
    )
    return result


@lru_cache(maxsize=8)
def _is_right(dtype: torch.dtype) -> bool:
    generator = torch.Generator().manual_seed(0)
    image, weight, bias = (
        torch.randn(shape, generator=generator).to(dtype)
        for shape in ((2, 3, 9, 7), (16, 3, 3, 3), (16,))
    )
    image, weight = (each.contiguous(memory_format=torch.channels_last) for each in (image, weight))
    with torch.inference_mode():
        in_turn = F.relu(F.conv2d(image, weight, bias, padding=1))
        try:
            at_once = _convolve(image, weight, bias)
        # Whatever it raises, the two in turn will do.
        except Exception:
            return False
        difference = (at_once.float() - in_turn.float()).abs().max()
        return bool(difference <= _TOLERANCE[dtype] * in_turn.float().max())
