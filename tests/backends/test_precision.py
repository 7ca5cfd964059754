"""A precision is tried by what it computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mriseg.backends.fallback import Manner
from mriseg.backends.precision import fault

CPU = torch.device("cpu")


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_processor_computes_right(dtype: torch.dtype, layout: torch.memory_format) -> None:
    assert [fault(Manner(CPU, dtype, layout)) for _ in range(3)] == ["", "", ""]


@pytest.mark.parametrize("change", [1.1, torch.nan])
def test_a_wrong_convolution_is_noticed(change: float, monkeypatch: pytest.MonkeyPatch) -> None:
    right = F.conv2d

    def wrong(image: Tensor, *more: Any, **others: Any) -> Tensor:
        out = right(image, *more, **others)
        return out * change if torch.is_autocast_enabled("cpu") else out

    monkeypatch.setattr(F, "conv2d", wrong)
    manner = Manner(CPU, torch.bfloat16, torch.channels_last)
    assert fault(manner) == "a convolution's result is wrong in it"
    assert fault(Manner(CPU)) == ""


def test_a_kernel_that_is_lacking_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    right = F.conv2d

    def lacking(image: Tensor, *more: Any, **others: Any) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("no kernel for this\nand a trace")
        return right(image, *more, **others)

    monkeypatch.setattr(F, "conv2d", lacking)
    assert fault(Manner(CPU, torch.bfloat16)) == "RuntimeError: no kernel for this"
