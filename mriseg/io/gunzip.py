"""Files that may be compressed, as a stream of their unpacked bytes, read piece by piece.

gzip is recognised by a file's first bytes, since names are wrong often enough: scans are renamed,
and browsers unpack what they download. gzip and zlib are zlib-ng's: unpacking is most of what
reading a scan costs, and it is four times as fast.
"""

# zlib-ng is typed in part only.
# mypy: untyped-calls-exclude="zlib_ng"
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Literal, cast

from zlib_ng import gzip_ng, zlib_ng

from mriseg.errors import InputError, reason_of
from mriseg.io.disk.untrusted import open_regular

Packing = Literal["raw", "gzip", "zlib"]
"""How bytes are stored: as they are, or in one of two forms of deflate."""

_GZIP = b"\x1f\x8b"
# No deflate stream unpacks to more than this times its size (zlib's technical details).
_MAX_DEFLATE_RATIO = 1032
# Bytes read at a time into a buffer, and skipped at a time.
_PIECE, _SKIPPED_PIECE = 2**18, 2**20
# Packed bytes read at a time.
_PACKED_PIECE = 2**16
# Bytes of a file that a message quotes.
_QUOTED = 9


def is_gzipped(path: Path) -> bool:
    """Whether ``path`` is named as a gzip file, in any case."""
    return path.name.lower().endswith(".gz")


def packing_of(path: Path) -> Packing:
    """Whether the file at ``path`` is a gzip file by its first bytes, whatever its name says.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with open_regular(path) as raw:
            return "gzip" if raw.read(len(_GZIP)) == _GZIP else "raw"
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {reason_of(error)}") from error


@contextmanager
def opened(path: Path, packing: Packing | None = None, start: int = 0) -> Iterator[IO[bytes]]:
    """The unpacked bytes of ``path``.

    Args:
        path: the file.
        packing: how it is stored; None: by its first bytes, gzip or raw.
        start: bytes of the file before those that are meant (and unpacked).

    Raises:
        InputError: the file cannot be read, is truncated or is damaged; also for errors of these
            kinds inside the ``with`` block.
    """
    name = path.name
    try:
        with open_regular(path) as raw:
            if packing is None:
                packing = "gzip" if raw.read(len(_GZIP)) == _GZIP else "raw"
            raw.seek(start)
            if packing == "raw":
                yield raw
            elif packing == "zlib":
                yield cast("IO[bytes]", _Inflating(raw))
            else:
                with gzip_ng.open(raw, "rb") as file:
                    yield cast("IO[bytes]", file)
    except EOFError as error:
        raise InputError(f"{name} is truncated: its {packing} stream ends early") from error
    except (gzip_ng.BadGzipFile, zlib_ng.error) as error:  # type: ignore[misc]  # A class.
        raise InputError(f"{name} is a damaged {packing} file ({error})") from error
    except OSError as error:
        raise InputError(f"{name} cannot be read: {reason_of(error)}") from error


class _Inflating:
    """A zlib stream, as far as it is read like a file."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        # 15 bits of window, and 32 for either header: MetaImage's writers use both.
        self._stream = zlib_ng.decompressobj(wbits=15 + 32)
        self._pending = b""

    def read(self, count: int) -> bytes:
        """At most ``count`` bytes; none at the stream's end, where its checksum was compared."""
        while count > 0 and not self._stream.eof:
            packed = self._pending or self._raw.read(_PACKED_PIECE)
            piece: bytes = self._stream.decompress(packed, count)
            self._pending = self._stream.unconsumed_tail
            if piece:
                return piece
            if not packed:
                raise EOFError
        return b""


def hint(start: bytes) -> str:
    """What a file with an unexpected start may be instead, in brackets, for an error message."""
    if not start:
        return " (it is empty)"
    shown = start[:_QUOTED].decode("ascii", "backslashreplace")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return f" (it starts with {shown!r}: a web page?)"
    if start.startswith(_GZIP):
        return " (it is a gzip file inside a gzip file: unpack it once)"
    if start.startswith(b"version "):
        return f" (it starts with {shown!r}: a Git LFS pointer whose file was not fetched?)"
    return f" (it starts with {shown!r})"


def capacity(path: Path, packing: Packing, start: int = 0) -> int:
    """How many bytes ``path`` can unpack to at most, without the first ``start`` of the file.

    Raises:
        InputError: there is no such file.
    """
    try:
        size = path.stat().st_size - start
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name} cannot be read: {reason_of(error)}") from error
    return size * (1 if packing == "raw" else _MAX_DEFLATE_RATIO)


def skip(file: IO[bytes], count: int) -> None:
    """Move on by ``count`` bytes without holding them in memory."""
    while count > 0 and (piece := file.read(min(count, _SKIPPED_PIECE))):
        count -= len(piece)


def fill(file: IO[bytes], buffer: memoryview) -> int:
    """Read until ``buffer`` is full or the file ends; return the number of bytes read.

    In pieces that stay in the processor's cache: a gzip file's ``readinto`` reads everything and
    then copies it.
    """
    filled = 0
    while piece := file.read(min(_PIECE, len(buffer) - filled)):
        buffer[filled : filled + len(piece)] = piece
        filled += len(piece)
    return filled


def compress(content: bytes, level: int = 6) -> bytes:
    """``content`` as gzip without a time or a name: equal input gives equal bytes."""
    packed: bytes = gzip_ng.compress(content, compresslevel=level, mtime=0)
    return packed
