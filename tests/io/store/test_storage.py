"""The files of a store, in a folder and at a URL alike."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from mriseg.io.store.storage import Tree, as_os_errors


@pytest.fixture(params=["", "local://"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "x").write_bytes(b"xx")
    (tmp_path / "a" / "b" / "y").write_bytes(b"y")
    return Tree(f"{request.param}{tmp_path}")


def test_files_and_folders(tree: Tree) -> None:
    assert tree.folders("") == ["a"] and tree.folders("a") == ["b"] and tree.folders("none") == []
    assert tree.files("a") == ["b/y", "x"]
    assert tree.read("a/x") == b"xx" and tree.read_each(["a/b/y", "a/z"]) == [b"y", None]
    assert tree.size("a/x") == 2 and tree.size("a/z") is None
    assert tree.is_there("a/x") and not tree.is_there("a/z")
    assert tree.sha256("a/x") == hashlib.sha256(b"xx").hexdigest()
    assert not tree.is_empty()
    with pytest.raises(FileNotFoundError):
        tree.read("a/z")


def test_nothing_at_a_url_is_empty() -> None:
    assert Tree("memory://mriseg-storage-nothing").is_empty()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX's")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for read in (Tree(str(tmp_path)).read, Tree(str(tmp_path)).sha256):
        with pytest.raises(OSError, match="not a regular file"):
            read("pipe")


def test_errors_of_a_url_are_oserrors_and_ours_stay() -> None:
    with pytest.raises(OSError, match="^no$"), as_os_errors("memory://x"):
        raise RuntimeError("no\nmore")
    with pytest.raises(RuntimeError), as_os_errors("/x"):
        raise RuntimeError
    with pytest.raises(PermissionError), as_os_errors("memory://x"):
        raise PermissionError
