"""NVIDIA's GPUs: the contract where there is one, and what can be tested without."""

from __future__ import annotations

import pytest
import torch

from mriseg.backends import BACKENDS, select
from mriseg.backends.meter import PeakMemory
from mriseg.testing import BackendContract


class TestCuda(BackendContract):
    name = "cuda"

    def test_its_memory_is_counted(self, device_present: None) -> None:
        backend = select("cuda")
        free = backend.free_memory()
        assert free is not None and free > 0
        meter = PeakMemory(backend)
        held = torch.ones(2**26, dtype=torch.uint8, device=backend.device)
        backend.synchronize()
        taken = meter.taken()
        assert taken is not None and taken >= held.numel()
        assert meter.how == "the most that tensors held on the GPU"


def test_without_a_device_the_reason_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    assert BACKENDS["cuda"].probe() == (False, "this PyTorch was built without CUDA")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ok, why = BACKENDS["cuda"].probe()
    assert not ok and why.startswith("PyTorch sees no GPU")
