"""A folder in which the four commands of the README were typed, and a way to type more."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mriseg.cli.app import app
from mriseg.testing import phantoms

Type = Callable[..., Result]

# As the tests of one file share a process and two slow cores.
FAST = "--epochs 1 --batch-size 8 --backend cpu --precision fp32"


@pytest.fixture(scope="session")
def type_in() -> Type:
    """``type_in(folder, "mriseg info")``: the result of typing that there."""

    def run(folder: Path, line: str) -> Result:
        command, *words = line.split()
        assert command == "mriseg"
        with chdir(folder):
            return CliRunner().invoke(app, words)

    return run


@pytest.fixture(scope="session")
def _worked(tmp_path_factory: pytest.TempPathFactory, type_in: Type) -> Path:
    folder = tmp_path_factory.mktemp("worked")
    phantoms.write_brats(folder / "brats", 3, shape=(12, 40, 36))
    for line in (
        "mriseg preprocess brats/ out.zarr --workers 1",
        "mriseg train --width 8 --epochs 1 --batch-size 8 --backend cpu --precision fp32",
    ):
        result = type_in(folder, line)
        assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def worked(_worked: Path, tmp_path: Path) -> Path:
    """A folder with ``brats/`` (3 cases), ``out.zarr`` and one run under ``runs/``; a copy."""
    return Path(shutil.copytree(_worked, tmp_path / "worked"))


@pytest.fixture
def run(worked: Path) -> Path:
    """That run, relative to the folder."""
    [path] = (worked / "runs").iterdir()
    return path.relative_to(worked)
