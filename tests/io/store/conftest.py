"""An empty store."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.io.store import Store, create
from tests.stores import SPEC


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return create(tmp_path / "out.zarr", SPEC)
