from __future__ import annotations

import gzip
import io
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from mriseg.errors import InputError
from mriseg.io import gunzip

CONTENT = bytes(range(256)) * 3000


@pytest.fixture(params=["plain", "packed.GZ"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / str(request.param)
    path.write_bytes(gzip.compress(CONTENT, mtime=0) if gunzip.is_gzipped(path) else CONTENT)
    return path


def test_the_unpacked_bytes_are_read(path: Path) -> None:
    with gunzip.opened(path) as file:
        assert file.read(3) == CONTENT[:3]
        gunzip.skip(file, 500_000)
        buffer = bytearray(len(CONTENT))
        filled = gunzip.fill(file, memoryview(buffer))
    assert filled == len(CONTENT) - 500_003
    assert bytes(buffer[:filled]) == CONTENT[500_003:]
    packing = gunzip.packing_of(path)
    assert packing == ("gzip" if gunzip.is_gzipped(path) else "raw")
    assert gunzip.capacity(path, packing) >= len(CONTENT)


@pytest.mark.parametrize("content", [CONTENT, gzip.compress(CONTENT, mtime=0)])
def test_the_content_decides_and_not_the_name(tmp_path: Path, content: bytes) -> None:
    for name in ("x.nii", "x.nii.gz"):
        (tmp_path / name).write_bytes(content)
        with gunzip.opened(tmp_path / name) as file:
            assert file.read() == CONTENT


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress])
@pytest.mark.parametrize("piece", [1000, 2**18])
def test_a_stream_within_a_file(tmp_path: Path, pack: Callable[[bytes], bytes], piece: int) -> None:
    (tmp_path / "x").write_bytes(b"header" + pack(CONTENT) + b"behind")
    content = b""
    with gunzip.opened(tmp_path / "x", "zlib", start=6) as file:
        while part := file.read(piece):
            assert len(part) <= piece
            content += part
        assert file.read(1) == b""
    assert content == CONTENT


@pytest.mark.parametrize("cut", [1, 4, 1000])
def test_a_zlib_stream_that_ends_early(tmp_path: Path, cut: int) -> None:
    (tmp_path / "x").write_bytes(zlib.compress(CONTENT)[:-cut])
    with pytest.raises(InputError, match="its zlib stream ends early"):
        read_all(tmp_path / "x", "zlib")


def test_a_zlib_stream_with_a_wrong_checksum(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(zlib.compress(CONTENT)[:-4] + b"abcd")
    with pytest.raises(InputError, match="x is a damaged zlib file"):
        read_all(tmp_path / "x", "zlib")


def read_all(path: Path, packing: gunzip.Packing | None = None) -> bytes:
    content = b""
    with gunzip.opened(path, packing) as file:
        while part := file.read(2**18):
            content += part
    return content


def test_filling_stops_where_the_buffer_is_full() -> None:
    file, buffer = io.BytesIO(CONTENT), bytearray(300_000)
    assert gunzip.fill(file, memoryview(buffer)) == len(buffer)
    assert file.tell() == len(buffer) and bytes(buffer) == CONTENT[: len(buffer)]


def test_skipped_bytes_are_never_kept_in_memory() -> None:
    packed = io.BytesIO(gzip.compress(bytes(2**26), 1, mtime=0))
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
        (gzip.compress(CONTENT, mtime=0)[:-4], "is truncated"),
        (gzip.compress(CONTENT, mtime=0)[:-6] + bytes(6), "is a damaged gzip file"),
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
    for ask in (gunzip.packing_of, lambda path: gunzip.capacity(path, "raw")):
        with pytest.raises(InputError, match=r"^x cannot be read"):
            ask(tmp_path / "x")


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"", "it is empty"),
        (b"  <HTML>", "a web page"),
        (b"version https://git-lfs", "a Git LFS pointer"),
        (gzip.compress(b"", mtime=0), "a gzip file inside a gzip file"),
        (b"other", "it starts with 'other'"),
    ],
)
def test_what_an_unexpected_start_may_be(start: bytes, what: str) -> None:
    assert what in gunzip.hint(start)
