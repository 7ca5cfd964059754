"""The processor: the contract, and how it chooses its precision."""

from __future__ import annotations

import time

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


@pytest.mark.parametrize(
    ("capabilities", "dtype", "why"),
    [
        ({"amx_bf16": False, "avx512_bf16": True}, torch.bfloat16, "for it (AVX512-BF16)"),
        ({"amx_bf16": True, "avx512_bf16": True}, torch.bfloat16, "for it (AMX)"),
        ({"amx_bf16": False, "avx512_bf16": False}, torch.float32, "no instructions"),
        ({"avx2": True}, torch.float32, "no instructions"),
    ],
)
@pytest.mark.parametrize("deterministic", [False, True])
def test_the_instructions_decide_the_precision(
    capabilities: dict[str, bool],
    dtype: torch.dtype,
    why: str,
    deterministic: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    for query in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, query, raising=False)
    backend = select("cpu", deterministic=deterministic)
    assert backend.dtype == dtype
    (decision,) = [d for d in backend.decisions if d.what == "precision"]
    assert decision.how == str(dtype).removeprefix("torch.") and why in decision.why


def test_a_processor_that_computes_wrong_in_bfloat16_does_not_use_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mriseg.backends.cpu._bf16_instructions", lambda: "AMX")
    monkeypatch.setattr("mriseg.backends.cpu.fault", lambda manner: "it is wrong")
    backend = select("cpu")
    assert backend.dtype == torch.float32
    assert any(d.why.endswith("AMX for bfloat16, but it is wrong") for d in backend.decisions)
    # What was asked for by name is the user's to decide.
    assert select("cpu", precision="bf16").dtype == torch.bfloat16


def test_no_time_is_taken_to_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> float:
        raise AssertionError("a choice that is timed changes with the load")

    for name in ("perf_counter", "monotonic", "time", "process_time"):
        monkeypatch.setattr(time, name, refused)
    select("cpu")


def test_the_cpu_takes_the_native_form_unless_it_must_be_deterministic() -> None:
    assert select("cpu").ops is NATIVE
    assert select("cpu", deterministic=True).ops is SCATTER
