"""A file is whole or not there, and the only store in a folder is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mriseg.errors import InputError, OutputError
from mriseg.io.files import only_store, replacing, write_json


def test_a_file_appears_when_the_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.nii.gz"
    with replacing(path) as temporary:
        assert temporary.parent == path.parent and temporary.name.endswith(".nii.gz")
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_permissions_are_the_usual_ones(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    write_json(tmp_path / "ours.json", {})
    assert (tmp_path / "ours.json").stat().st_mode == plain.stat().st_mode


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OutputError, match=r"file/x\.json cannot be written"),
        replacing(tmp_path / "file" / "x.json"),
    ):
        pass
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(OutputError, match="taken cannot be written"), replacing(tmp_path / "taken"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "taken"]


@pytest.mark.skipif(os.name != "posix", reason="a limit on a file's size needs POSIX")
def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old")
    code = """
import resource, sys
from pathlib import Path
from mriseg.errors import OutputError
from mriseg.io.files import write_json
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_json(Path(sys.argv[1]), ["x" * 5000])
except OutputError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    assert "x.json cannot be written" in done.stdout
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_readable(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"ä": [1, None]})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"ä": [1, None]} and text.endswith("\n")


def test_the_only_store_is_found(tmp_path: Path) -> None:
    (tmp_path / "notes.zarr").write_text("a file is no store")
    with pytest.raises(InputError, match="mriseg preprocess SRC"):
        only_store(tmp_path)
    (tmp_path / "a.zarr").mkdir()
    assert only_store(tmp_path) == tmp_path / "a.zarr"
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(InputError, match=r"there are 2 here: a\.zarr, b\.zarr"):
        only_store(tmp_path)
