"""The checks of a whole network: each finds its wrong kernel."""

from __future__ import annotations

import pytest

from mriseg.backends import Backend
from mriseg.engine.op_checks import CHECKS
from mriseg.recipes.doctor import Verdict
from tests.kernels import stretch, tried, wrong

BROKEN = [
    ("load weights, then place", "_to_copy"),
    ("load weights into a placed model", "copy_"),
    ("convolution, BatchNorm and ReLU", "relu_"),
    ("block encoder.3", "native_batch_norm_backward"),
    ("block head", "convolution"),
    ("network in float32", "max_unpool2d"),
    ("network as trained", "convolution_backward"),
]


@pytest.mark.parametrize(("name", "kernel"), BROKEN)
def test_a_wrong_kernel_is_detected(cpu: Backend, name: str, kernel: str) -> None:
    finding = tried(wrong(cpu, kernel, stretch), name)
    assert finding.verdict == Verdict.WRONG, finding
    assert finding.fault == (not CHECKS[name].instead)
