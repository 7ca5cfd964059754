"""A backend is a value: what it places, collects and sets follows from its fields."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from mriseg.backends import Backend, select
from mriseg.backends.base import DTYPES, dtype_of, type_name
from mriseg.errors import BackendError


def test_a_precision_is_auto_a_supported_one_or_an_error() -> None:
    assert dtype_of("auto", torch.bfloat16, ("fp32",), "it") == torch.bfloat16
    assert all(dtype_of(name, torch.float32, (name,), "it") == DTYPES[name] for name in DTYPES)
    with pytest.raises(BackendError, match="it does not compute in fp16; choose fp32, bf16 or"):
        dtype_of("fp16", torch.float32, ("fp32", "bf16"), "it")


def test_types_are_named_without_their_module() -> None:
    assert type_name(torch.bfloat16) == "bfloat16"
    assert type_name(torch.channels_last) == "channels_last"


@pytest.mark.parametrize(
    ("dtype", "scaled"), [(torch.float32, False), (torch.bfloat16, False), (torch.float16, True)]
)
def test_only_float16_needs_its_loss_scaled(cpu: Backend, dtype: torch.dtype, scaled: bool) -> None:
    backend = replace(cpu, dtype=dtype)
    assert (backend.scaler() is not None) is scaled
    assert isinstance(backend.autocast(), nullcontext) is (dtype == torch.float32)


def test_settings_hold_while_it_runs_and_full_float32_can_be_requested() -> None:
    backend = replace(select("cpu", precision="fp32"), deterministic=True)
    torch.backends.cuda.matmul.allow_tf32, before = True, torch.backends.cuda.matmul.allow_tf32
    try:
        with backend.running():
            assert torch.are_deterministic_algorithms_enabled()
            with backend.in_full():
                assert not torch.backends.cuda.matmul.allow_tf32
            assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    assert not torch.are_deterministic_algorithms_enabled()


def test_what_is_not_pinned_stays_as_it_is(cpu: Backend) -> None:
    tensor = torch.ones(2, 3)
    assert cpu.pin(tensor) is tensor
