"""A Hub on loopback, which huggingface_hub in this process takes for the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mriseg.io.hub import FILES
from mriseg.io.model_sources import BASE
from tests import hub as stub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[stub.Hub]:
    """A Hub with the shipped model in ``ada/glioma``; its cache is ``tmp_path / "cache"``."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with stub.serving() as hub:
        hub.repos["ada/glioma"] = stub.Repo()
        hub.repos["ada/glioma"].commit(files_of(Path(str(BASE))))
        for name, value in {
            "ENDPOINT": hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(tmp_path / "cache"),
            "HF_TOKEN_PATH": str(tmp_path / "token"),
            "HF_HUB_OFFLINE": False,
            # The Hub's own store for large files, which no stub can be.
            "HF_HUB_DISABLE_XET": True,
        }.items():
            monkeypatch.setattr(constants, name, value)
        yield hub


def files_of(folder: Path) -> dict[str, bytes]:
    """What of a model's folder lies on the Hub."""
    return {name: (folder / name).read_bytes() for name in FILES if (folder / name).exists()}
