"""The suite for backends refuses a backend that breaks what it promises."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mriseg.backends import Backend, select
from mriseg.core.ops import Ops
from mriseg.testing import BackendContract


class Suite(BackendContract):
    """Not collected by pytest: its tests are called one by one, on backends that are wrong."""

    __test__ = False
    name = "cpu"


@pytest.fixture
def backend() -> Backend:
    return select("cpu", precision="fp32", deterministic=True)


def test_a_right_backend_passes(backend: Backend) -> None:
    Suite().test_its_unpooling_is_right_in_its_own_manner(backend)
    Suite().test_float32_gives_the_plain_cpus_logits(backend)
    Suite().test_running_sets_back_what_it_set(backend)


def test_a_wrong_unpooling_is_refused(backend: Backend) -> None:
    def upsample(values: Tensor, code: Tensor, size: tuple[int, int]) -> Tensor:
        return torch.nn.functional.interpolate(values, size)

    wrong = replace(backend, ops=Ops("upsample", backend.ops.pool, upsample))
    with pytest.raises(AssertionError):
        Suite().test_its_unpooling_is_right_in_its_own_manner(wrong)
    with pytest.raises(AssertionError):
        Suite().test_float32_gives_the_plain_cpus_logits(wrong)


def test_a_coarser_precision_is_refused_as_float32(backend: Backend) -> None:
    with pytest.raises(AssertionError):
        Suite().test_float32_gives_the_plain_cpus_logits(replace(backend, dtype=torch.bfloat16))


def test_a_backend_without_a_reason_is_refused(backend: Backend) -> None:
    with pytest.raises(AssertionError):
        Suite().test_it_says_what_it_is(replace(backend, reason=""))
