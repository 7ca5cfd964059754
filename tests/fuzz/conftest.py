"""Good inputs to damage, made once."""

from __future__ import annotations

import pytest

from tests.fuzz.seeds import Seeds, plant


@pytest.fixture(scope="session")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Seeds:
    """Scans, a store, a run, and files of weights, settings and numbers."""
    return plant(tmp_path_factory.mktemp("seeds"))
