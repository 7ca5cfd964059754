"""Files that are known again: by size and time of change, or else by their bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mriseg.errors import InputError
from mriseg.io.disk.checksums import sha256
from mriseg.io.disk.schemas import Name

_DIGITS = 24


@dataclass(frozen=True)
class KnownFile:
    """A file as it was when it was read or written.

    Attributes:
        name: the file's, without folders.
        size: in bytes.
        modified: time of change, in nanoseconds since 1970.
        sha256: of its bytes.
        folder: `digest_of_folder` of where it was; empty where that is not known.
    """

    name: Name
    size: int
    modified: int
    sha256: str
    folder: str = ""

    @classmethod
    def of(cls, path: Path) -> KnownFile:
        """A file as it is now.

        Raises:
            OSError, InputError: it cannot be read.
        """
        now = path.stat()
        digest = sha256(path)
        return cls(_text(path), now.st_size, now.st_mtime_ns, digest, digest_of_folder(path.parent))

    def is_still(self, path: Path) -> bool:
        """Whether a file is this one, unchanged; its name does not count.

        Where size and time are those of the same folder's file, its bytes are not read. Elsewhere
        they are: files of two patients, unpacked from one archive, may share all three.
        """
        try:
            now = path.stat()
            if now.st_size != self.size:
                return False
            if now.st_mtime_ns == self.modified and self.folder == digest_of_folder(path.parent):
                return True
            return sha256(path) == self.sha256
        except (InputError, OSError):
            return False


def same_files(known: Sequence[KnownFile], paths: Sequence[Path]) -> bool:
    """Whether these are the same files by the same names, in the same order."""
    if [file.name for file in known] != [_text(path) for path in paths]:
        return False
    return all(file.is_still(path) for file, path in zip(known, paths, strict=True))


def _text(path: Path) -> str:
    """A file's name as text, whatever bytes it consists of."""
    return os.fsencode(path.name).decode("utf-8", "backslashreplace")


def digest_of_folder(folder: Path) -> str:
    """A digest of a folder's path, links followed: the path itself may name people and studies."""
    path = os.path.realpath(folder)
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:_DIGITS]


def stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written again; None where there is none."""
    try:
        now = path.stat()
    except OSError:
        return None
    return now.st_ino, now.st_size, now.st_mtime_ns


def digest_or_none(path: Path) -> str | None:
    """The SHA-256 of a file as it is now; None where it cannot be read."""
    try:
        return sha256(path)
    except InputError:
        return None
