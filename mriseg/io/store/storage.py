"""The files that a store is made of, in a folder or at a URL.

zarr shows arrays and groups; whether a file exists, or is what was written, takes the files
themselves.
"""

from __future__ import annotations

import errno
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import fsspec  # type: ignore[import-untyped]

from mriseg.errors import reason_of
from mriseg.io.disk.atomic import replacing
from mriseg.io.disk.checksums import digest
from mriseg.io.disk.untrusted import is_regular
from mriseg.io.location import Location


@contextmanager
def as_os_errors(location: str | Location) -> Iterator[None]:
    """Whatever goes wrong with a URL becomes an OSError.

    The libraries of URL schemes raise errors of their own where there are no credentials, no
    network or no rights; fsspec raises an ImportError or a ValueError where there is no library.
    """
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        if Location.of(location).is_local:
            raise
        raise OSError(reason_of(error)) from error


T = TypeVar("T")

# A file at a URL may not be seen at once after it was written: seconds before each further attempt.
PATIENCE = (0.1, 0.3, 1.0, 2.0)


class Tree:
    """The files below a folder, or below a URL that fsspec opens.

    Names are relative to it, with slashes.

    Every method raises OSError where a file cannot be read, and so does making one of a URL that
    no installed library can open.
    """

    def __init__(self, location: str | Location) -> None:
        self._location = Location.of(location)
        if self._location.is_local:
            # Not parsed: a folder's name may look like a URL's chain.
            self._fs: Any = fsspec.filesystem("file")
            self._root = self._location.path.absolute().as_posix()
            return
        with as_os_errors(self._location):
            self._fs, root = fsspec.core.url_to_fs(str(self._location))
        self._root = root.rstrip("/")

    @property
    def is_far(self) -> bool:
        """Whether it is at a URL, where each question takes a while and lists may lag behind."""
        return not self._location.is_local

    def for_tensorstore(self, name: str) -> dict[str, Any] | None:
        """A folder as tensorstore takes it; None where it has no driver for it."""
        return None

    def zarr_store(self) -> Any:
        """These files as zarr takes them."""
        return str(self._location)

    def is_empty(self) -> bool:
        """Whether nothing lies at a URL."""
        self._fs.invalidate_cache()
        try:
            with as_os_errors(self._location):
                return not self._fs.ls(self._root, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return True

    def read(self, name: str) -> bytes:
        """A whole file, for small ones."""
        self._refuse_endless(name)
        with as_os_errors(self._location):
            return bytes(self._fs.cat_file(self._path(name)))

    def read_surely(self, name: str) -> bytes:
        """A whole file that has to exist; at a URL it is asked for again where it seems not to."""
        return self.read(name) if self._location.is_local else patiently(lambda: self.read(name))

    def read_each(self, names: Sequence[str]) -> list[bytes | None]:
        """Many small files at once; None for one that does not exist."""
        for name in names:
            self._refuse_endless(name)
        paths = [self._path(name) for name in names]
        with as_os_errors(self._location):
            contents = self._fs.cat_ranges(paths, None, None, on_error="return")
            for content in contents:
                if isinstance(content, Exception) and not isinstance(
                    content, FileNotFoundError | NotADirectoryError
                ):
                    raise content
        return [None if isinstance(one, Exception) else bytes(one) for one in contents]

    def folders(self, name: str) -> list[str]:
        """The names of the folders in a folder, sorted; none where it does not exist."""
        return self._in(name, "directory")

    def names(self, name: str) -> list[str]:
        """The names of the files that lie in a folder itself, sorted; none where it is missing."""
        return self._in(name, "file")

    def _in(self, name: str, kind: str) -> list[str]:
        """The names of the entries of a folder that are of a kind, as fsspec calls it, sorted."""
        self._fs.invalidate_cache()
        try:
            with as_os_errors(self._location):
                entries = self._fs.ls(self._path(name), detail=True)
        except FileNotFoundError:
            return []
        return sorted(
            str(entry["name"]).rstrip("/").rpartition("/")[2]
            for entry in entries
            if entry["type"] == kind
        )

    def write(self, name: str, data: bytes) -> None:
        """A whole file, complete or not at all; its folder is made, and no folder above that."""
        if self._location.is_local:
            path = Path(self._path(name))
            path.parent.mkdir(exist_ok=True)
            with replacing(path, make_folder=False) as temporary:
                temporary.write_bytes(data)
            return
        with as_os_errors(self._location):
            self._fs.pipe_file(self._path(name), data)

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one; gives whether there was none."""
        if self.is_there(name):
            return False
        self.write(name, data)
        return True

    def remove(self, name: str) -> None:
        """A file. Raises FileNotFoundError where there is none."""
        with as_os_errors(self._location):
            self._fs.rm_file(self._path(name))

    def files(self, name: str) -> list[str]:
        """Every file below a folder, by its name relative to that folder, sorted."""
        self._fs.invalidate_cache()
        start = len(self._path(name)) + 1
        with as_os_errors(self._location):
            return sorted(str(path)[start:] for path in self._fs.find(self._path(name)))

    def sizes(self, name: str) -> dict[str, int]:
        """Every file below a folder, by its name relative to that folder -> bytes."""
        self._fs.invalidate_cache()
        start = len(self._path(name)) + 1
        with as_os_errors(self._location):
            entries = self._fs.find(self._path(name), detail=True)
        return {str(path)[start:]: int(entry["size"]) for path, entry in entries.items()}

    def size(self, name: str) -> int | None:
        """In bytes; None where the file does not exist."""
        try:
            self._refuse_endless(name)
            with as_os_errors(self._location):
                return int(self._fs.size(self._path(name)))
        except FileNotFoundError:
            return None

    def is_there(self, name: str) -> bool:
        """Whether a file exists now, whatever was known of it before."""
        self._fs.invalidate_cache()
        return self.size(name) is not None

    def open(self, name: str) -> BinaryIO:
        """A file, to be read in pieces."""
        self._refuse_endless(name)
        with as_os_errors(self._location):
            return cast(BinaryIO, self._fs.open(self._path(name), "rb"))

    def sha256(self, name: str) -> str:
        """The SHA-256 of a file, which is read in pieces."""
        with as_os_errors(self._location), self.open(name) as opened:
            return digest(opened)

    def _refuse_endless(self, name: str) -> None:
        """A pipe or a device in a file's place would be waited for, or never end."""
        path = Path(self._path(name))
        if self._location.is_local and path.exists() and not is_regular(path):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root


class NotYetError(OSError):
    """An object has another size than was written."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def patiently(ask: Callable[[], T]) -> T:
    """The answer to a question that a server may be late to know: it is asked again a few times.

    Raises:
        OSError: what the last attempt raised.
    """
    for seconds in PATIENCE:
        try:
            return ask()
        except (FileNotFoundError, NotYetError):
            time.sleep(about(seconds))
    return ask()


def about(seconds: float) -> float:
    """So that many clients that were refused at once do not come again at once."""
    return seconds * (0.5 + secrets.randbelow(1000) / 1000)
