from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.io.exporters.archive import holds, inspect_archive, seal_archive

METADATA = {"modalities": ["T1"], "regions": ["WT"]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A sealed archive with metadata and some content."""
    return write(tmp_path / "model.zip")


def write(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/mriseg.json", json.dumps(METADATA))
        archive.writestr("model/code.py", "pass\n" * 20)
    seal_archive(path)
    return path


def test_a_sealed_archive_is_whole_and_still_a_zip_file(path: Path) -> None:
    inspected = inspect_archive(path, "mriseg.json")
    assert (inspected.metadata, inspected.whole, inspected.faults) == (METADATA, True, ())
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None


@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, where: float, bit: int
) -> None:
    path = write(tmp_path_factory.mktemp("archive") / "model.zip")
    content = bytearray(path.read_bytes())
    content[int(where * len(content))] ^= 1 << bit
    path.write_bytes(content)
    inspected = inspect_archive(path, "mriseg.json")
    assert inspected.whole is not True or inspected.faults


def test_an_archive_without_a_digest_is_neither_whole_nor_damaged(tmp_path: Path) -> None:
    path = tmp_path / "plain.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/mriseg.json", json.dumps(METADATA))
    inspected = inspect_archive(path, "mriseg.json")
    assert (inspected.metadata, inspected.whole, inspected.faults) == (METADATA, None, ())


@pytest.mark.parametrize("content", [b"", b"<!doctype html>", b"PK\x03\x04 cut off"])
def test_what_is_no_archive_is_a_fault(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "page"
    path.write_bytes(content)
    inspected = inspect_archive(path, "mriseg.json")
    assert inspected.metadata == {} and inspected.faults
    assert not holds(path, "mriseg.json")


def test_an_encrypted_record_is_a_fault_and_no_exception(path: Path) -> None:
    content = bytearray(path.read_bytes())
    # The flags of the first record, in its own header and in the directory.
    for place in (6, content.index(b"PK\x01\x02") + 8):
        struct.pack_into("<H", content, place, 1)
    path.write_bytes(content)
    assert any("encrypted" in fault for fault in inspect_archive(path, "mriseg.json").faults)


def test_an_archive_is_checked_for_the_files_it_holds(path: Path) -> None:
    assert holds(path, "mriseg.json") and holds(path, "mriseg.json", "code.py")
    assert not holds(path, "mriseg.json", "weights.onnx")


def test_a_file_that_cannot_be_read_is_an_os_error(tmp_path: Path) -> None:
    for call in (lambda p: inspect_archive(p, "x"), holds):
        with pytest.raises(OSError, match="absent"):
            call(tmp_path / "absent")
