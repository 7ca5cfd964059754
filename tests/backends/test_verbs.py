"""What a device is asked besides computing; third parties' devices are in ``on_fake_device.py``."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mriseg.backends import select
from mriseg.backends.meter import PeakMemory
from mriseg.backends.verbs import PROCESSOR, DeviceVerbs, verbs_of


def test_the_processor_is_done_when_a_call_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "synchronize", None)
    backend = select("cpu", precision="fp32")
    assert backend.verbs is PROCESSOR
    backend.synchronize()
    free = backend.free_memory()
    assert free is None or free > 0


def test_a_backends_own_verbs_come_first() -> None:
    asked: list[str] = []

    def verb(name: str, answer: int) -> int:
        asked.append(name)
        return answer

    own = DeviceVerbs(
        synchronize=lambda: asked.append("synchronize"),
        free_memory=lambda: verb("free", 7),
        restart_peak=lambda: verb("restart", 100),
        peak_memory=lambda: verb("peak", 130),
        counted="what was put down",
    )
    backend = replace(select("cpu", precision="fp32"), own_verbs=own)
    backend.synchronize()
    assert backend.free_memory() == 7
    meter = PeakMemory(backend)
    assert (meter.taken(), meter.how) == (30, "what was put down")
    assert asked == ["synchronize", "free", "restart", "peak"]


def test_an_accelerator_is_asked_by_pytorchs_common_names(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("xpu", 1)
    asked: list[tuple[str, torch.device]] = []

    def verb(name: str, answer: object) -> None:
        def asking(device: torch.device) -> object:
            asked.append((name, device))
            return answer

        owner = torch.accelerator if name == "synchronize" else torch.accelerator.memory
        monkeypatch.setattr(owner, name, asking, raising=False)

    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("xpu"))
    verb("synchronize", None)
    verb("get_memory_info", (1000, 5000))
    verb("memory_reserved", 300)
    verb("memory_allocated", 200)
    verb("reset_peak_memory_stats", None)
    verb("max_memory_allocated", 900)
    verbs = verbs_of(device)
    verbs.synchronize()
    assert verbs.free_memory() == 1100
    assert (verbs.restart_peak(), verbs.peak_memory()) == (200, 900)
    assert {given for _, given in asked} == {device} and len(asked) == 7


def test_an_accelerator_without_an_account_of_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(device: torch.device) -> None:
        raise RuntimeError("the allocator is not a DeviceAllocator")

    memory = torch.accelerator.memory
    monkeypatch.delattr(memory, "get_memory_info", raising=False)
    for name in ("reset_peak_memory_stats", "max_memory_allocated"):
        monkeypatch.setattr(memory, name, refuse)
    verbs = verbs_of(torch.device("xpu"))
    assert (verbs.free_memory(), verbs.restart_peak(), verbs.peak_memory()) == (None, None, None)
