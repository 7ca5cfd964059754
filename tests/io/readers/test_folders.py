"""Walking a folder: sorted, never leaving it, with names that are text and unique."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_links_are_followed_to_files_inside_alone(tmp_path: Path) -> None:
    root = tree(tmp_path / "root", "a/x")
    outside = tree(tmp_path / "outside", "y")
    (root / "inside").symlink_to(root / "a/x")
    (root / "leads_out").symlink_to(outside / "y")
    (root / "folder").symlink_to(root / "a")
    (root / "broken").symlink_to(root / "none")
    (root / "itself").symlink_to(root / "itself")
    os.mkfifo(root / "pipe")
    assert walked(root) == ["inside", "a/x"]


def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none cannot be read: No such file"):
        folders.files(tmp_path / "none")


def test_any_name_is_text() -> None:
    assert folders.text("Müller") == "Müller"
    assert folders.text(os.fsdecode(b"M\xfcller")) == "M\\xfcller"


def test_equal_names_are_preceded_by_their_parents(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("2017/case", "2018/case", "2018/other")]
    assert list(folders.unique_names(tmp_path, paths).values()) == [
        "2017__case",
        "2018__case",
        "other",
    ]


parts = st.lists(st.sampled_from(["a", "b", "a__b", "a_"]), min_size=1, max_size=3)


@given(st.lists(parts, min_size=1, max_size=6, unique_by=tuple))
def test_names_are_always_unique(
    tmp_path_factory: pytest.TempPathFactory, paths: list[list[str]]
) -> None:
    root = tmp_path_factory.getbasetemp()
    names = folders.unique_names(root, [root.joinpath(*path) for path in paths])
    assert len(set(names.values())) == len(paths)
