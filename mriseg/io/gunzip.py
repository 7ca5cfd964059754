"""Files that may be gzipped, as a stream of their unpacked bytes, read piece by piece.

gzip is zlib-ng's: unpacking is most of what reading a scan costs, and it is four times as fast.
"""

# zlib-ng is typed in part only.
# mypy: untyped-calls-exclude="zlib_ng"
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from zlib_ng import gzip_ng, zlib_ng

from mriseg.errors import InputError, reason_of
from mriseg.io.disk.untrusted import open_regular

# No deflate stream unpacks to more than this times its size (zlib's technical details).
_MAX_DEFLATE_RATIO = 1032
# Bytes read at a time into a buffer, and skipped at a time.
_PIECE, _SKIPPED_PIECE = 2**18, 2**20
# Bytes of a file that show what else it may be, and those of them that a message quotes.
_SIGNATURE, _QUOTED = 64, 9


def is_gzipped(path: Path) -> bool:
    """Whether ``path`` is named as a gzip file, in any case."""
    return path.name.lower().endswith(".gz")


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The unpacked bytes of ``path``, which is a gzip file if its name says so.

    Raises:
        InputError: the file cannot be read, is not gzip although named so, is truncated or is
            damaged; also for errors of these kinds inside the ``with`` block.
    """
    name = path.name
    try:
        with open_regular(path) as raw:
            if not is_gzipped(path):
                yield raw
                return
            start = raw.read(_SIGNATURE)
            raw.seek(0)
            if not start.startswith(b"\x1f\x8b"):
                suffix = "".join(path.suffixes[-2:])
                raise InputError(f"{name} is named {suffix} but is not a gzip file{hint(start)}")
            with gzip_ng.open(raw, "rb") as file:
                yield cast("IO[bytes]", file)
    except EOFError as error:
        raise InputError(f"{name} is truncated: its gzip stream ends early") from error
    except (gzip_ng.BadGzipFile, zlib_ng.error) as error:  # type: ignore[misc]  # A class.
        raise InputError(f"{name} is a damaged gzip file ({error})") from error
    except OSError as error:
        raise InputError(f"{name} cannot be read: {reason_of(error)}") from error


def hint(start: bytes) -> str:
    """What a file with an unexpected start may be instead, in brackets, for an error message."""
    if not start:
        return " (it is empty)"
    shown = start[:_QUOTED].decode("ascii", "backslashreplace")
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return f" (it starts with {shown!r}: a web page?)"
    if start.startswith(b"version "):
        return f" (it starts with {shown!r}: a Git LFS pointer whose file was not fetched?)"
    return f" (it starts with {shown!r})"


def capacity(path: Path) -> int:
    """How many bytes ``path`` can unpack to at most."""
    return path.stat().st_size * (_MAX_DEFLATE_RATIO if is_gzipped(path) else 1)


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


def compress(content: bytes) -> bytes:
    """``content`` as gzip without a time or a name: equal input gives equal bytes."""
    packed: bytes = gzip_ng.compress(content, compresslevel=6, mtime=0)
    return packed
