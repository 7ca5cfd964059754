"""Walking a folder: sorted, through links, with names that are text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mriseg.errors import InputError
from mriseg.io.readers import folders


def tree(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
    return root


def walked(root: Path) -> list[str]:
    return [str(file.relative_to(root)) for _, _, files in folders.walk(root) for file in files]


def test_folders_and_files_are_sorted_and_hidden_ones_omitted(tmp_path: Path) -> None:
    tree(tmp_path, "b/2", "b/1", "a/x", "top", ".hidden/x", "a/._x", "__MACOSX/x")
    assert walked(tmp_path) == ["top", "a/x", "b/1", "b/2"]
    assert folders.files(tmp_path / "b") == [tmp_path / "b/1", tmp_path / "b/2"]


def test_a_caller_may_skip_folders(tmp_path: Path) -> None:
    tree(tmp_path, "a/x", "b/x")
    visited = []
    for folder, inner, _ in folders.walk(tmp_path):
        visited.append(folder)
        inner[:] = [path for path in inner if path.name != "a"]
    assert visited == [tmp_path, tmp_path / "b"]


def test_links_are_followed(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", "a/x")
    outside = tree(tmp_path / "outside", "y", "inner/z")
    (root / "leads_out").symlink_to(outside / "y")
    (root / "folder").symlink_to(outside)
    assert walked(root) == ["leads_out", "a/x", "folder/y", "folder/inner/z"]


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", "a/x")
    (root / "broken").symlink_to(root / "none")
    (root / "itself").symlink_to(root / "itself")
    os.mkfifo(root / "pipe")
    left_out: dict[Path, str] = {}
    assert [f.name for _, _, files in folders.walk(root, left_out) for f in files] == ["x"]
    assert "a broken link" in left_out[root / "broken"]
    assert "none, is missing" in left_out[root / "broken"]
    assert "link" in left_out[root / "itself"]
    assert left_out[root / "pipe"] == "neither a file nor a folder"


@pytest.mark.parametrize("target", [".", "..", "../..", "/"])
def test_a_link_to_a_folder_around_it_ends(tmp_path: Path, target: str) -> None:
    """A stranger's archive may hold a link to the whole disk."""
    root = tree(tmp_path / "root", "a/x")
    (root / "a" / "loop").symlink_to(target)
    left_out: dict[Path, str] = {}
    assert [f.name for _, _, files in folders.walk(root, left_out) for f in files] == ["x"]
    assert "a link to a folder" in left_out[root / "a" / "loop"]


def test_a_folder_is_walked_once(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", "b/x")
    (root / "a").symlink_to(root / "b")
    (root / "c").symlink_to(root / "b")
    left_out: dict[Path, str] = {}
    visited = [folder for folder, _, _ in folders.walk(root, left_out)]
    assert len(visited) == 2
    assert {*left_out} == {root / "b", root / "c"}


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="none cannot be read: there is no such|none cannot be read: No such"
    ):
        folders.files(tmp_path / "none")


def test_any_name_is_text() -> None:
    assert folders.text("Müller") == "Müller"
    assert folders.text(os.fsdecode(b"M\xfcller")) == "M\\xfcller"
