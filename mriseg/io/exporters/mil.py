"""A CoreML program, evaluated by PyTorch: the check of the file where Apple's runtime is not.

It shows that the file says what the network does. What Apple's compiler makes of it, only a Mac
shows. The operations are those that a SegNet's program holds; another is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mriseg.errors import ExportError

_TYPES = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "int32": torch.int32,
    "bool": torch.bool,
}  # fmt: skip


def evaluate(function: Any, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The outputs of a function of a program, by name.

    Args:
        function: as coremltools reads it out of a file (a ``mil.Function``).
        given: its inputs, by name.

    Raises:
        ExportError: it holds an operation that is not known here.
    """
    values: dict[str, Any] = dict(given)
    for operation in function.operations:
        kind = operation.op_type
        if kind == "const":
            values[operation.outputs[0].name] = _constant(operation.outputs[0].val)
            continue
        if kind not in _OPERATIONS:
            raise ExportError(f"the program holds the operation {kind}, which cannot be evaluated")
        inputs = {name: _value(values, var) for name, var in operation.inputs.items()}
        values[operation.outputs[0].name] = _OPERATIONS[kind](**inputs)
    return {var.name: values[var.name] for var in function.outputs}


def _constant(value: Any) -> Any:
    """Numbers and texts as Python has them, arrays of real numbers as tensors, others as lists."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "f" and value.ndim:
            return torch.from_numpy(np.array(value))
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value


def _value(values: Mapping[str, Any], var: Any) -> Any:
    if isinstance(var, list | tuple):
        return [values[each.name] for each in var]
    return None if var is None else values[var.name]


def _pads(x: Tensor, pad_type: str, pad: list[int] | None, fill: float) -> Tensor:
    if pad_type == "valid":
        return x
    if pad_type != "custom" or pad is None:
        raise ExportError(f"the program pads by {pad_type!r}, which cannot be evaluated")
    # CoreML begins with the first axis, PyTorch with the last.
    top, bottom, left, right = pad
    return F.pad(x, [left, right, top, bottom], value=fill)


def _conv(
    x: Tensor, weight: Tensor, bias: Tensor | None, strides: Any, dilations: Any, groups: int,
    pad_type: str, pad: list[int] | None = None,
) -> Tensor:  # fmt: skip
    return F.conv2d(_pads(x, pad_type, pad, 0.0), weight, bias, strides, 0, dilations, groups)


def _max_pool(
    x: Tensor, kernel_sizes: Any, strides: Any, ceil_mode: bool, pad_type: str,
    pad: list[int] | None = None,
) -> Tensor:  # fmt: skip
    padded = _pads(x, pad_type, pad, -torch.inf)
    return F.max_pool2d(padded, kernel_sizes, strides, ceil_mode=ceil_mode)


def _slice(
    x: Tensor, begin: Any, end: Any, stride: Any = None, begin_mask: Any = None,
    end_mask: Any = None, squeeze_mask: Any = None,
) -> Tensor:  # fmt: skip
    axes = range(x.ndim)
    stride = stride or [1] * x.ndim
    parts: list[slice | int] = []
    for axis in axes:
        if squeeze_mask and squeeze_mask[axis]:
            parts.append(begin[axis])
            continue
        first = None if begin_mask and begin_mask[axis] else begin[axis]
        last = None if end_mask and end_mask[axis] else end[axis]
        parts.append(slice(first, last, stride[axis]))
    return x[tuple(parts)]


def _expand(x: Tensor, axes: list[int]) -> Tensor:
    for axis in sorted(axes):
        x = x.unsqueeze(axis)
    return x


_OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "conv": _conv,
    "max_pool": _max_pool,
    "slice_by_index": _slice,
    "expand_dims": _expand,
    "relu": lambda x: F.relu(x),
    "sigmoid": lambda x: torch.sigmoid(x),
    "abs": lambda x: x.abs(),
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "real_div": lambda x, y: x / y,
    "greater": lambda x, y: x > y,
    "greater_equal": lambda x, y: x >= y,
    "not_equal": lambda x, y: x != y,
    "select": lambda cond, a, b: torch.where(cond, a, b),
    "cast": lambda x, dtype: x.to(_TYPES[dtype]),
    "fill_like": lambda ref_tensor, value: torch.full_like(ref_tensor, value),
    "stack": lambda values, axis: torch.stack(values, axis),
    "reshape": lambda x, shape: x.reshape(shape),
    "tile": lambda x, reps: x.repeat(reps),
    "pixel_shuffle": lambda x, upscale_factor: F.pixel_shuffle(x, upscale_factor),
    "reduce_max": lambda x, axes, keep_dims: x.amax(axes, keepdim=keep_dims),
}
