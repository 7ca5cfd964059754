"""The files that a store is made of, in a folder or at a URL.

zarr shows arrays and groups; to tell whether a file is there, or is what was written, takes the
files themselves.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import fsspec  # type: ignore[import-untyped]

from mriseg.io.disk.checksums import digest
from mriseg.io.disk.untrusted import is_regular
from mriseg.io.store.arrays import is_local


class Tree:
    """The files below a location; names are relative to it, with slashes.

    Every method raises OSError where a file cannot be read, and what the URL's scheme raises.
    """

    def __init__(self, location: str) -> None:
        self._local = is_local(location)
        if self._local:
            # Not parsed: a folder's name may look like a URL's chain.
            self._fs: Any = fsspec.filesystem("file")
            self._root = Path(location).absolute().as_posix()
        else:
            self._fs, root = fsspec.core.url_to_fs(location)
            self._root = root.rstrip("/")

    def read(self, name: str) -> bytes:
        """A whole file, for small ones."""
        self._refuse_endless(name)
        return bytes(self._fs.cat_file(self._path(name)))

    def read_each(self, names: Sequence[str]) -> list[bytes | None]:
        """Many small files at once; None for one that is not there."""
        for name in names:
            self._refuse_endless(name)
        found = self._fs.cat_ranges([self._path(n) for n in names], None, None, on_error="return")
        for one in found:
            if isinstance(one, Exception) and not isinstance(
                one, FileNotFoundError | NotADirectoryError
            ):
                raise one
        return [None if isinstance(one, Exception) else bytes(one) for one in found]

    def folders(self, name: str) -> list[str]:
        """The names of the folders in a folder, sorted; none where it is not there."""
        self._fs.invalidate_cache()
        try:
            entries = self._fs.ls(self._path(name), detail=True)
        except FileNotFoundError:
            return []
        return sorted(
            str(entry["name"]).rstrip("/").rpartition("/")[2]
            for entry in entries
            if entry["type"] == "directory"
        )

    def files(self, name: str) -> list[str]:
        """Every file below a folder, by its name relative to that folder, sorted."""
        self._fs.invalidate_cache()
        start = len(self._path(name)) + 1
        return sorted(str(path)[start:] for path in self._fs.find(self._path(name)))

    def size(self, name: str) -> int | None:
        """In bytes; None where the file is not there."""
        try:
            self._refuse_endless(name)
            return int(self._fs.size(self._path(name)))
        except FileNotFoundError:
            return None

    def is_there(self, name: str) -> bool:
        """Whether a file is there now, whatever was known of it before."""
        self._fs.invalidate_cache()
        return self.size(name) is not None

    def open(self, name: str) -> BinaryIO:
        """A file, to be read in pieces."""
        self._refuse_endless(name)
        return cast(BinaryIO, self._fs.open(self._path(name), "rb"))

    def sha256(self, name: str) -> str:
        """The SHA-256 of a file, which is read in pieces."""
        with self.open(name) as opened:
            return digest(opened)

    def identities(self, name: str) -> list[dict[str, Any]]:
        """Name, size and SHA-256 of every file below a folder."""
        found = []
        for file in self.files(name):
            path = f"{name}/{file}"
            found.append({"name": file, "size": self.size(path), "sha256": self.sha256(path)})
        return found

    def _refuse_endless(self, name: str) -> None:
        """A pipe or a device in a file's place would be waited for, or never end."""
        path = Path(self._path(name))
        if self._local and path.exists() and not is_regular(path):
            raise OSError(errno.EINVAL, "it is no file", str(path))

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root
