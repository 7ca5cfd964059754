from __future__ import annotations

import torch

from mriseg.backends import Backend
from mriseg.engine.workloads import BenchConfig, inference, product, training

SMALL = BenchConfig(width=8, batch_size=2, size=(32, 64))


def test_what_is_measured_can_be_repeated(cpu: Backend) -> None:
    with cpu.running():
        for action in (training(cpu, SMALL), inference(cpu, SMALL)):
            action()
            action()


def test_a_product_is_one(cpu: Backend) -> None:
    out = product(cpu, 16, torch.float32)()
    assert isinstance(out, torch.Tensor) and out.shape == (16, 16) and bool(out.isfinite().all())
