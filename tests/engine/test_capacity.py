"""What a step takes is counted, and a batch fits the memory that it is for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mriseg.backends import Backend, select
from mriseg.engine.capacity import Memory, Workload, measure, safe_batch


@given(
    free=st.integers(0, 2**40),
    more=st.integers(0, 2**40),
    fixed=st.integers(1, 2**34),
    slice_bytes=st.integers(1, 2**34),
)
def test_a_batch_fits_the_given_memory(free: int, more: int, fixed: int, slice_bytes: int) -> None:
    batch = safe_batch(free, fixed, slice_bytes)
    assert batch >= 0
    assert batch == 0 or fixed + batch * slice_bytes < free
    assert safe_batch(free + more, fixed, slice_bytes) >= batch
    assert safe_batch(free, fixed + more, slice_bytes) <= batch
    assert safe_batch(free, fixed, slice_bytes + more) <= batch


def taken(backend: Backend, **changed: Any) -> Memory:
    task = Workload(3, 2, 8, (64, 64), 2, 100, "")
    with backend.running():
        return measure(backend, replace(task, **changed), 2**33)[0]


def test_wider_and_larger_takes_more(cpu: Backend) -> None:
    small = taken(cpu)
    assert small.safe_batch is not None and small.safe_batch > 0
    wide, large = taken(cpu, width=16), taken(cpu, size=(128, 64))
    assert wide.per_slice > small.per_slice and wide.fixed > 2 * small.fixed
    assert large.per_slice == pytest.approx(2 * small.per_slice, rel=0.05)
    assert wide.safe_batch is not None and large.safe_batch is not None
    assert max(wide.safe_batch, large.safe_batch) < small.safe_batch
    half = taken(select("cpu", precision="bf16"))
    assert half.per_slice < 0.75 * small.per_slice


def test_what_autograd_keeps_is_counted_by_hand(cpu: Backend) -> None:
    """The first block: its input, the convolution's output, and the ReLU's."""
    from mriseg.engine.capacity import _counting

    weight = torch.zeros(4, 3, 3, 3, requires_grad=True)
    image = torch.zeros(2, 3, 8, 10)
    with _counting() as kept:
        output = torch.relu(nn.functional.conv2d(image, weight, padding=1))
        torch.relu(output)  # the same storage again, and one more
    sizes = sorted(kept.values())
    assert sizes == sorted([4 * 3 * 9 * 4, 2 * 3 * 80 * 4, 2 * 4 * 80 * 4, 2 * 4 * 80 * 4])


def test_what_autograd_freed_shares_its_id_with_nothing() -> None:
    from mriseg.engine.capacity import _counting

    weight = torch.zeros(16, requires_grad=True)
    with _counting() as kept:
        for _ in range(500):
            weight * torch.ones(16)  # keeps the ones, 64 bytes, until the product goes: at once
    assert sum(kept.values()) == 500 * 64
