"""A check is computed as the backend does, and exactly."""

from __future__ import annotations

import torch

from mriseg.backends import Backend
from mriseg.core.ops import NATIVE
from mriseg.engine.check import At, Outcome, numbers
from mriseg.engine.op_checks import CHECKS


def test_an_exact_place_is_exact(cpu: Backend) -> None:
    at = At(cpu, exact=True)
    assert at.activation(torch.ones(2)).dtype == torch.float64
    assert at.place(torch.ones(2, dtype=torch.uint8)).dtype == torch.uint8
    outcome: Outcome = CHECKS["un-pool with ties"].run(at)
    assert {tensor.dtype for tensor in outcome.forward} == {torch.float64}
    assert NATIVE is not at.ops


def test_numbers_are_the_same_for_a_name() -> None:
    assert torch.equal(numbers("image", 3, 4), numbers("image", 3, 4))
    assert not torch.equal(numbers("image", 3, 4), numbers("mask", 3, 4))
