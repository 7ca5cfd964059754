"""The processor: the contract, and how it chooses its precision."""

from __future__ import annotations

import re

import pytest
import torch

from mriseg.backends import select
from mriseg.core.ops import NATIVE, SCATTER
from mriseg.errors import BackendError
from mriseg.testing import BackendContract


class TestCpu(BackendContract):
    name = "cpu"


def test_a_precision_that_a_device_lacks_is_refused() -> None:
    with pytest.raises(BackendError, match="does not compute in fp16; choose fp32, bf16 or auto"):
        select("cpu", precision="fp16")


def test_a_requested_precision_is_used() -> None:
    assert select("cpu", precision="fp32").dtype == torch.float32
    bf16 = select("cpu", precision="bf16")
    assert bf16.dtype == torch.bfloat16
    with bf16.autocast():
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == torch.bfloat16


def test_bfloat16_is_chosen_where_it_measures_faster() -> None:
    backend = select("cpu")
    (decision,) = [d for d in backend.decisions if d.what == "precision"]
    assert decision.how == str(backend.dtype).removeprefix("torch.")
    ratio = re.search(r"([\d.]+) times as fast", decision.why)
    assert ratio is not None
    # Rounded to one digit, as in the message.
    assert (float(ratio[1]) >= 1.1) is (backend.dtype == torch.bfloat16)


def test_a_deterministic_precision_depends_on_no_measurement() -> None:
    hardware = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    backend = select("cpu", deterministic=True)
    assert backend.dtype == (torch.bfloat16 if hardware else torch.float32)
    assert not any("times" in decision.why for decision in backend.decisions)


def test_the_cpu_takes_the_native_form_unless_it_must_be_deterministic() -> None:
    assert select("cpu").ops is NATIVE
    assert select("cpu", deterministic=True).ops is SCATTER
