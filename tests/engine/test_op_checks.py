"""The checks of operations: right on a processor, and each finds its wrong kernel."""

from __future__ import annotations

import pytest

from mriseg.backends import Backend, select
from mriseg.core.losses import LOSSES
from mriseg.engine.op_checks import CHECKS
from mriseg.recipes.doctor import Verdict
from tests.engine.test_network_checks import BROKEN as BROKEN_NETWORKS
from tests.kernels import stretch, tried, wrong

BROKEN = [
    ("place and collect", "clone"),
    ("convolution, 3 to 64", "convolution"),
    ("convolution, 256 to 32", "convolution_backward"),
    ("BatchNorm in training", "native_batch_norm"),
    ("BatchNorm in training", "native_batch_norm_backward"),
    ("BatchNorm in evaluation", "native_batch_norm_backward"),
    ("ReLU", "relu_"),
    ("ReLU", "threshold_backward"),
    ("pool with indices", "max_pool2d_with_indices"),
    ("pool with indices", "max_pool2d_with_indices_backward"),
    ("un-pool with ties", "max_unpool2d"),
    ("un-pool with ties", "gather"),
    ("loss bce", "binary_cross_entropy_with_logits"),
    ("loss dice", "sigmoid"),
    ("loss tversky", "sigmoid_backward"),
    ("loss focal", "log_sigmoid_forward"),
    ("sigmoid and threshold", "sigmoid"),
    ("gradient clipping", "_foreach_norm"),
    ("AdamW", "_fused_adamw_"),
    ("augmentation", "grid_sampler_2d"),
]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", CHECKS)
def test_the_processor_is_right(precision: str, name: str) -> None:
    finding = tried(select("cpu", precision=precision), name)
    assert finding.verdict == Verdict.RIGHT, finding
    assert not finding.fault and not finding.reason and not finding.instead


def test_every_loss_is_tried() -> None:
    assert {f"loss {name}" for name in LOSSES} <= set(CHECKS)


@pytest.mark.parametrize(("name", "kernel"), BROKEN)
def test_a_wrong_kernel_is_detected(cpu: Backend, name: str, kernel: str) -> None:
    finding = tried(wrong(cpu, kernel, stretch), name)
    assert finding.verdict == Verdict.WRONG, finding
    assert finding.fault == (not CHECKS[name].instead)


def test_every_kind_of_check_detects_a_wrong_kernel() -> None:
    kinds = {name.split()[0] for name in CHECKS}
    assert {name.split()[0] for name, _ in (*BROKEN, *BROKEN_NETWORKS)} == kinds
