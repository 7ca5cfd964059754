"""Temporary settings are restored, whatever happens."""

from __future__ import annotations

import pytest
import torch

from mriseg.backends import context


def test_what_is_set_is_set_back_also_after_an_error() -> None:
    before = torch.get_num_threads(), torch.backends.cudnn.benchmark
    with (
        pytest.raises(ZeroDivisionError),
        context.threads(before[0] + 1),
        context.restoring(torch.backends.cudnn, benchmark=not before[1]),
    ):
        assert (torch.get_num_threads(), torch.backends.cudnn.benchmark) == (
            before[0] + 1,
            not before[1],
        )
        raise ZeroDivisionError
    assert (torch.get_num_threads(), torch.backends.cudnn.benchmark) == before


def test_strict_deterministic_algorithms_are_requested_and_restored() -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with context.deterministic_algorithms():
            assert torch.are_deterministic_algorithms_enabled()
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
