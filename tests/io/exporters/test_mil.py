"""A CoreML program, evaluated: each operation does what PyTorch's own does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mriseg.errors import ExportError
from mriseg.io.exporters.mil import evaluate


def program(*operations: tuple[str, dict[str, Any], str], out: str) -> Any:
    """A function whose inputs are names, or constants."""
    listed, count = [], 0
    for kind, inputs, name in operations:
        named = {}
        for key, value in inputs.items():
            if not isinstance(value, str) or key in ("pad_type", "dtype"):
                count += 1
                var = SimpleNamespace(name=f"const_{count}", val=value)
                listed.append(SimpleNamespace(op_type="const", outputs=[var], inputs={}))
                named[key] = var
            else:
                named[key] = SimpleNamespace(name=value)
        output = SimpleNamespace(name=name)
        listed.append(SimpleNamespace(op_type=kind, outputs=[output], inputs=named))
    return SimpleNamespace(operations=listed, outputs=[SimpleNamespace(name=out)])


def test_a_convolution_and_a_slice() -> None:
    x, weight = torch.randn(1, 2, 6, 5), torch.randn(3, 2, 3, 3)
    function = program(
        ("conv", {"x": "x", "weight": weight.numpy(), "bias": None, "strides": np.array([1, 1]),
                  "dilations": np.array([1, 1]), "groups": np.int32(1), "pad_type": "custom",
                  "pad": np.array([1, 1, 0, 2])}, "y"),
        ("slice_by_index", {"x": "y", "begin": np.array([0, 0, 1, 0]),
                            "end": np.array([1, 3, 6, 5]), "stride": np.array([1, 1, 2, 1]),
                            "end_mask": np.array([True, True, True, True])}, "z"),
        out="z",
    )  # fmt: skip
    padded = torch.nn.functional.pad(x, [0, 2, 1, 1])
    expected = torch.nn.functional.conv2d(padded, weight)[:, :, 1::2]
    torch.testing.assert_close(evaluate(function, {"x": x})["z"], expected)


def test_what_is_unknown_is_an_error() -> None:
    with pytest.raises(ExportError, match="the operation lstm"):
        evaluate(program(("lstm", {"x": "x"}, "y"), out="y"), {"x": torch.zeros(1)})
    conv = ("conv", {"x": "x", "pad_type": "same_lower", "weight": np.zeros((1, 1, 1, 1), "f4"),
                     "bias": None, "strides": np.array([1, 1]), "dilations": np.array([1, 1]),
                     "groups": 1}, "y")  # fmt: skip
    with pytest.raises(ExportError, match="pads by 'same_lower'"):
        evaluate(program(conv, out="y"), {"x": torch.zeros(1, 1, 2, 2)})
