"""Checking from Python."""

from __future__ import annotations

from pathlib import Path

import pytest

import mriseg
from mriseg.errors import ConfigError


def test_verify(folder: Path) -> None:
    assert not mriseg.verify(str(folder / "out.zarr"), sources=folder / "brats").faults


def test_a_benchmark_of_no_backend_is_refused() -> None:
    with pytest.raises(ConfigError, match="no backend 'tpu'"):
        mriseg.bench(backend="tpu")
