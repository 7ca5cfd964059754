"""`mriseg verify` at the command line: what it says, and how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mriseg.cli.app import app
from mriseg.events import finish
from mriseg.recipes.preprocess import preprocess
from tests import phantoms


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    phantoms.write_brats(tmp_path / "scans", 1, shape=(6, 32, 32), modalities=("flair",))
    finish(preprocess(tmp_path / "scans", tmp_path / "out.zarr", workers=1))
    return tmp_path


def test_a_whole_store_ends_well(folder: Path) -> None:
    arguments = ["verify", str(folder / "out.zarr"), "--sources", str(folder / "scans")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "nothing is wrong" in done.stdout and "sources" in done.stdout


def test_damage_is_shown_with_its_case_and_slice_and_has_a_code_of_its_own(folder: Path) -> None:
    (shard,) = folder.glob("out.zarr/cases/*/image/c/0/0/0/0")
    content = bytearray(shard.read_bytes())
    content[10] ^= 1
    shard.write_bytes(content)
    done = CliRunner().invoke(app, ["verify", str(folder / "out.zarr")])
    assert done.exit_code == 9
    assert "BraTS20_Training_001" in done.stdout and "SHA-256" in done.stdout
    assert "error: " in done.stderr and "start the same mriseg preprocess again" in done.stderr
    assert "Traceback" not in done.output
    done = CliRunner().invoke(app, ["verify", str(folder / "out.zarr"), "--json", "-"])
    assert done.exit_code == 9
    (fault,) = json.loads(done.stdout)["faults"]
    assert fault["case"] == "BraTS20_Training_001" and len(fault["slices"]) == 1


def test_a_path_that_is_nothing_is_another_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["verify", str(tmp_path / "nothing")])
    assert done.exit_code == 3 and "does not exist" in done.stderr


def test_the_shipped_model_by_name() -> None:
    done = CliRunner().invoke(app, ["verify", "base"])
    assert done.exit_code == 0, done.output
    assert "checksums" not in done.stderr
