"""What cannot be written, or has no room, is refused before the work, and leaves nothing."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from mriseg.errors import ConfigError, OutputError
from mriseg.io.disk.space import check_outside_stores, check_space, check_writable
from mriseg.io.store import create
from tests.stores import SPEC


def test_a_folder_in_a_store_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "x.zarr", SPEC)
    for folder in (tmp_path / "x.zarr", tmp_path / "x.zarr" / "deep" / "down"):
        for check in (check_outside_stores, check_writable):
            with pytest.raises(
                OutputError, match=r"lies in the store .*x\.zarr; name a folder out"
            ):
                check(folder)
    check_outside_stores(tmp_path / "y")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written: "):
        check_writable(tmp_path / "file" / "below")
    check_writable(tmp_path / "new" / "deep")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_url_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for check in (check_outside_stores, check_writable):
        with pytest.raises(ConfigError, match="a local path is needed"):
            check(Path("s3://bucket/masks"))
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**6))
    check_space(tmp_path / "new", 10**6)
    with pytest.raises(OutputError, match="would need 2 MB and its disk has 1 MB left"):
        check_space(tmp_path / "new", 2 * 10**6)
