"""Apple's GPUs: the contract where there is one, and what can be tested without."""

from __future__ import annotations

import pytest
import torch

from mriseg.backends import BACKENDS
from mriseg.errors import BackendError
from mriseg.testing import BackendContract


class TestMps(BackendContract):
    name = "mps"


def test_without_a_device_the_reason_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: False)
    ok, why = BACKENDS["mps"].probe()
    assert not ok and "built without it" in why
    monkeypatch.setattr(torch.backends.mps, "is_built", lambda: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    ok, why = BACKENDS["mps"].probe()
    assert not ok and "macOS 14" in why


def test_it_has_no_tf32() -> None:
    with pytest.raises(BackendError, match="the MPS backend does not compute in tf32"):
        BACKENDS["mps"].make("tf32", deterministic=False, reason="")
