"""A store and a run made from Python, in a folder that is not the current one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import pytest

import mriseg
from mriseg.testing import phantoms


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """``brats/``, ``out.zarr`` and ``run/``; and the current folder is another."""
    root = tmp_path_factory.mktemp("api")
    phantoms.write_brats(root / "brats", 3, shape=(12, 40, 36))
    (root / "elsewhere").mkdir()
    with chdir(root / "elsewhere"):
        report = mriseg.preprocess(root / "brats", str(root / "out.zarr"), workers=1)
        assert [case.status for case in report.cases] == ["written"] * 3
        settings = {"epochs": 1, "width": 8, "batch_size": 8}
        mriseg.train(str(root / "out.zarr"), backend="cpu", out=root / "run", **settings)
    yield root


@pytest.fixture(autouse=True)
def _elsewhere(folder: Path) -> Iterator[None]:
    with chdir(folder / "elsewhere"):
        yield
