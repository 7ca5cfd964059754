from __future__ import annotations

import gzip
import io
import tracemalloc
from pathlib import Path

import pytest

from mriseg.errors import InputError
from mriseg.io import gunzip

CONTENT = bytes(range(256)) * 3000


@pytest.fixture(params=["plain", "packed.GZ"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / str(request.param)
    path.write_bytes(gzip.compress(CONTENT) if gunzip.is_gzipped(path) else CONTENT)
    return path


def test_the_unpacked_bytes_are_read(path: Path) -> None:
    with gunzip.opened(path) as file:
        assert file.read(3) == CONTENT[:3]
        gunzip.skip(file, 500_000)
        buffer = bytearray(len(CONTENT))
        filled = gunzip.fill(file, memoryview(buffer))
    assert filled == len(CONTENT) - 500_003
    assert bytes(buffer[:filled]) == CONTENT[500_003:]
    assert gunzip.capacity(path) >= len(CONTENT)


def test_filling_stops_where_the_buffer_is_full() -> None:
    file, buffer = io.BytesIO(CONTENT), bytearray(300_000)
    assert gunzip.fill(file, memoryview(buffer)) == len(buffer)
    assert file.tell() == len(buffer) and bytes(buffer) == CONTENT[: len(buffer)]


def test_skipped_bytes_are_never_kept_in_memory() -> None:
    packed = io.BytesIO(gzip.compress(bytes(2**26), 1))
    tracemalloc.start()
    try:
        with gzip.open(packed) as file:
            gunzip.skip(file, 2**26)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_equal_content_is_compressed_to_equal_bytes_without_a_time() -> None:
    packed = gunzip.compress(CONTENT)
    assert packed == gunzip.compress(CONTENT)
    assert packed[3:8] == bytes(5)
    assert gzip.decompress(packed) == CONTENT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is named .gz but is not a gzip file .*it is empty"),
        (b"<html>", "a web page"),
        (b"version https://git-lfs", "a Git LFS pointer"),
        (gzip.compress(CONTENT)[:-4], "is truncated"),
        (gzip.compress(CONTENT)[:-6] + bytes(6), "is a damaged gzip file"),
    ],
)
def test_a_file_that_cannot_be_unpacked_is_refused(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message), gunzip.opened(path) as file:
        file.read()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^x cannot be read"), gunzip.opened(tmp_path / "x"):
        pass
