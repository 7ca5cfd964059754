"""A file is known again where nothing changed, and never taken for another of its name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.errors import InputError
from mriseg.io.disk import known_files
from mriseg.io.disk.known_files import KnownFile, digest_of_folder, same_files


def test_a_file_is_known_until_its_bytes_change(tmp_path: Path) -> None:
    path = tmp_path / "x.nii"
    path.write_bytes(b"scan")
    known = KnownFile.of(path)
    assert known.is_still(path)
    # Touched, or copied: another time, the same bytes.
    os.utime(path, (1, 1))
    assert known.is_still(path)
    path.write_bytes(b"scam")
    assert not known.is_still(path)
    path.write_bytes(b"longer")
    assert not known.is_still(path)
    path.unlink()
    assert not known.is_still(path)


def test_bytes_are_not_read_where_size_time_and_place_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.nii"
    path.write_bytes(b"scan")
    known = KnownFile.of(path)

    def refuse(_: Path) -> str:
        raise InputError("read")

    monkeypatch.setattr(known_files, "sha256", refuse)
    assert known.is_still(path)
    moved = shutil.copy2(path, tmp_path / "new.nii")
    assert known.is_still(Path(moved))  # the same folder
    (tmp_path / "other").mkdir()
    assert not known.is_still(Path(shutil.copy2(path, tmp_path / "other")))


def test_two_patients_files_from_one_archive_are_not_one(tmp_path: Path) -> None:
    """Of one name, size and time, in two folders."""
    for patient, content in (("P1", b"scan 1"), ("P2", b"scan 2")):
        (tmp_path / patient).mkdir()
        (tmp_path / patient / "flair.nii").write_bytes(content)
        os.utime(tmp_path / patient / "flair.nii", (1, 1))
    first, second = (tmp_path / name / "flair.nii" for name in ("P1", "P2"))
    known = [KnownFile.of(first)]
    assert same_files(known, [first]) and not same_files(known, [second])


def test_a_link_to_a_folder_is_that_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert digest_of_folder(tmp_path / "a") == digest_of_folder(tmp_path / "b")
    assert digest_of_folder(tmp_path) != digest_of_folder(tmp_path / "a")
    assert str(tmp_path) not in digest_of_folder(tmp_path)


@given(st.lists(st.sampled_from("abc"), max_size=4), st.lists(st.sampled_from("abc"), max_size=4))
def test_other_names_or_another_order_are_other_files(one: list[str], other: list[str]) -> None:
    known = [KnownFile(name, -1, 0, "") for name in one]
    # None exists, so only no files at all are the same as no files.
    assert same_files(known, [Path("/nowhere", name) for name in other]) == (one == other == [])
