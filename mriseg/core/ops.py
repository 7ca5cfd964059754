"""Max-pooling with stored positions, and the un-pooling that uses them, in interchangeable forms.

SegNet's decoder puts each value back where the encoder's 2x2 max-pooling found it (Badrinarayanan
et al. 2015, arXiv 1511.00561, figure 3). PyTorch has a kernel for that, but not on every device,
not under strict determinism and not in every export format. Hence three pairs that agree bit for
bit, including gradients, ties, NaN and odd sizes:

=========  ========================  =====================  =============  ==================
name       code                      needs                  deterministic  ``torch.jit``
=========  ========================  =====================  =============  ==================
`NATIVE`   int64 index in the plane  ``max_unpool2d``       no: it raises  script
`SCATTER`  the same                  ``scatter``            yes            script and trace
`PURE`     uint8 cell in the window  arithmetic, comparing  yes            script and trace
=========  ========================  =====================  =============  ==================

"deterministic" refers to ``torch.use_deterministic_algorithms(True)``; for `SCATTER` it holds for
the un-pooling, while its pooling is the device's own. Scripted or traced, sizes and batch size stay
free.

Pooling takes the first of equal maxima in row order, and NaN exceeds every number. Odd sizes are
rounded down: the last row or column is neither pooled nor filled. For a fixed code, pooling is a
gather and un-pooling is its adjoint, so that the gradient of each is the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Ops:
    """The pair of operations that a SegNet uses; a backend chooses the form.

    ``pool(x [b, c, h, w]) -> (values [b, c, h//2, w//2], code)`` and
    ``unpool(values, code, (h, w)) -> [b, c, h, w]``; the meaning of the code is up to the pair.
    """

    name: str
    pool: Callable[[Tensor], tuple[Tensor, Tensor]]
    unpool: Callable[[Tensor, Tensor, tuple[int, int]], Tensor]


# The functions below are also compiled by torch.jit.script, which takes a subset of Python: no
# keyword-only arguments, no generators, and lists where PyTorch's own signatures have them.


def native_pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """2x2 max-pooling of ``x`` [b, c, h, w].

    Returns:
        The maxima [b, c, h//2, w//2]; and, as int64 of the same shape, the index of each in its
        flattened plane.
    """
    values, indices = F.max_pool2d(x, [2, 2], [2, 2], return_indices=True)
    return values, indices


def native_unpool(values: Tensor, indices: Tensor, size: tuple[int, int]) -> Tensor:
    """``values`` [b, c, h//2, w//2] at ``indices`` of planes of ``size`` (h, w), 0 elsewhere."""
    if torch.jit.is_scripting():  # type: ignore[attr-defined]
        return _unpooled(values, indices, size)
    plane: Tensor = _NativeUnpool.apply(values, indices, size)  # type: ignore[no-untyped-call]
    return plane


def _unpooled(values: Tensor, indices: Tensor, size: tuple[int, int]) -> Tensor:
    return F.max_unpool2d(values, indices, [2, 2], [2, 2], output_size=[size[0], size[1]])


class _NativeUnpool(torch.autograd.Function):
    """PyTorch's kernel, with a gradient that reads channels_last tensors without converting them.

    PyTorch's own gradient converts them to contiguous tensors and back, which on a CPU takes ten
    times as long as the un-pooling itself.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, indices: Tensor, size: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(indices)
        device = values.device.type
        if not torch.is_autocast_enabled(device):
            return _unpooled(values, indices, size)
        # Autocast on a CPU would convert the values to float32, and the plane and its gradient back
        # again: passes over the largest tensors of all, for an operation that only moves values.
        with torch.autocast(device, enabled=False):
            return _unpooled(values, indices, size)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (indices,) = ctx.saved_tensors
        if _channels_last(indices):
            gradient, indices = _rows(gradient), _rows(indices)
            gathered = gradient.flatten(1, 2).gather(1, indices.flatten(1, 2))
            return gathered.view(indices.shape).permute(0, 3, 1, 2), None, None
        return gradient.flatten(2).gather(2, indices.flatten(2)).view(indices.shape), None, None


def scatter_unpool(values: Tensor, indices: Tensor, size: tuple[int, int]) -> Tensor:
    """As `native_unpool`. Windows of 2x2 do not overlap, so no two values have the same index."""
    b, c, area = values.shape[0], values.shape[1], size[0] * size[1]
    if _channels_last(indices):
        pixels, channels = _rows(indices).flatten(1, 2), _rows(values).flatten(1, 2)
        rows = values.new_zeros([b, area, c]).scatter(1, pixels, channels)
        return rows.view(b, size[0], size[1], c).permute(0, 3, 1, 2)
    planes = values.new_zeros([b, c, area]).scatter(2, indices.flatten(2), values.flatten(2))
    return planes.view(b, c, size[0], size[1])


def _channels_last(x: Tensor) -> bool:
    # A plane of one pixel has both layouts, and must not switch a contiguous network's layout.
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


def _rows(x: Tensor) -> Tensor:
    """[b, c, h, w] as [b, h, w, c]: a view, contiguous for channels_last tensors."""
    return x.permute(0, 2, 3, 1)


def pure_pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """2x2 max-pooling of ``x`` [b, c, h, w].

    Returns:
        The maxima [b, c, h//2, w//2]; and, as uint8 of the same shape, the cell of its window in
        which each was: 0 and 1 in the upper row, 2 and 3 in the lower.
    """
    h, w = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    values = x[:, :, 0:h:2, 0:w:2]
    code = torch.zeros_like(values, dtype=torch.uint8)
    for cell in range(1, 4):
        rival = x[:, :, cell // 2 : h : 2, cell % 2 : w : 2]
        # Strictly greater, so that the first maximum stays. torch.maximum would split the gradient
        # between equal values, and after a ReLU all values of a window are often equal.
        wins = (rival > values) | rival.isnan()
        values = torch.where(wins, rival, values)
        code = torch.where(wins, torch.full_like(code, cell), code)
    return values, code


def pure_unpool(values: Tensor, code: Tensor, size: tuple[int, int]) -> Tensor:
    """``values`` [b, c, h//2, w//2] in the cells ``code`` of a plane of ``size`` (h, w), else 0."""
    zero = torch.zeros_like(values)
    # where instead of a product with the one-hot code: infinity times 0 is NaN.
    cells = [torch.where(code == cell, values, zero) for cell in range(4)]
    plane = F.pixel_shuffle(torch.stack(cells, 2).flatten(1, 2), 2)
    return F.pad(plane, [0, size[1] - plane.shape[3], 0, size[0] - plane.shape[2]])


def arithmetic_pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """2x2 max-pooling of ``x`` [b, c, h, w], whose values are finite.

    Returns:
        The maxima [b, c, h//2, w//2]; and, as [b, c, 4, h//2, w//2] of the same type, 1 for the
        cell of its window in which each was, and 0 for the other three.
    """
    values = F.max_pool2d(x, [2, 2], [2, 2])
    h, w = x.shape[2] // 2 * 2, x.shape[3] // 2 * 2
    left = torch.ones_like(values)
    cells: list[Tensor] = []
    for cell in range(4):
        rival = x[:, :, cell // 2 : h : 2, cell % 2 : w : 2]
        # What an earlier cell took is not left for a later one that is equal.
        first = left * (rival >= values).to(x.dtype)
        left = left - first
        cells.append(first)
    return values, torch.stack(cells, 2)


def arithmetic_unpool(values: Tensor, code: Tensor, size: tuple[int, int]) -> Tensor:
    """``values`` [b, c, h//2, w//2] in the cells ``code`` of a plane of ``size`` (h, w), else 0."""
    plane = F.pixel_shuffle((values.unsqueeze(2) * code).flatten(1, 2), 2)
    return F.pad(plane, [0, size[1] - plane.shape[3], 0, size[0] - plane.shape[2]])


NATIVE = Ops("native", native_pool, native_unpool)
SCATTER = Ops("scatter", native_pool, scatter_unpool)
PURE = Ops("pure", pure_pool, pure_unpool)

ARITHMETIC = Ops("arithmetic", arithmetic_pool, arithmetic_unpool)
"""For exported files: products, differences and comparisons alone, which CoreML's converter takes
and onnxruntime computes a third faster than `PURE`. Of finite values it gives what the others give;
of infinity it makes NaN. Its gradients are not theirs, so it is no form to train with."""

FORMS: tuple[Ops, ...] = (NATIVE, SCATTER, PURE)
