"""A Hub on loopback, which huggingface_hub in this process takes for the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import hub as stub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[stub.Hub]:
    """A Hub with the shipped model in ``ada/glioma``; its cache is ``tmp_path / "cache"``."""
    with stub.in_use(tmp_path, monkeypatch) as hub:
        yield hub
