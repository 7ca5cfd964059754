"""Whether another process, on whatever machine, sees the same files at a path.

Folders of one name on two machines may be two folders. What a path is known by is small: a file's
size and beginning, and the names in a folder. Of a folder that is written into, one file that was
put there for this tells all.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mriseg.errors import OutputError, reason_of
from mriseg.io.disk.atomic import part_folder
from mriseg.io.disk.locks import waiting
from mriseg.io.location import local_path

_BEGINNING = 65536
_MOST_NAMES = 1000
_MARKS = ("run.json", "zarr.json")
_TOKEN = "token"
# Seconds for which a network file system may not show what was written elsewhere just now.
_LATENESS = 10.0


@dataclass(frozen=True)
class SharedPath:
    """Something that is read, as this process sees it.

    Attributes:
        path: absolute.
        identity: what it is known by.
    """

    path: str
    identity: str

    @classmethod
    def of(cls, path: Path) -> SharedPath:
        """A file or folder that this process can read."""
        return cls(str(path.absolute()), _identity(path))

    def problem(self) -> str:
        """Why this process, another one, does not see the same; empty: it does."""
        try:
            identity = _identity(Path(self.path))
        except OSError as error:
            return f"does not see {self.path} ({reason_of(error)})"
        if identity != self.identity:
            return f"sees something else at {self.path}, such as a folder of its own disk"
        return ""


@dataclass(frozen=True)
class Workroom:
    """A hidden folder in a folder that is written into, for as long as a command works there.

    Workers write into it what the command then moves to its place, and stop their work when it is
    gone.

    Attributes:
        path: absolute.
        token: what is in its file of that name.
    """

    path: str
    token: str

    @property
    def is_open(self) -> bool:
        """Whether the command still works, as far as can be seen."""
        return Path(self.path).is_dir()

    def problem(self) -> str:
        """Why this process, another one, cannot write into the same folder; empty: it can."""
        folder = Path(self.path)
        until = time.monotonic() + _LATENESS
        while not (folder / _TOKEN).exists() and time.monotonic() < until:
            time.sleep(0.1)
        try:
            if (folder / _TOKEN).read_text(encoding="ascii") != self.token:
                return f"sees something else at {folder.parent}, such as a folder of its own disk"
            trial = folder / f"{_TOKEN}-{os.getpid()}-{secrets.token_hex(4)}"
            trial.touch()
            trial.unlink()
        except FileNotFoundError:
            return f"does not see what is written into {folder.parent}"
        except (OSError, ValueError) as error:
            return f"cannot write into {folder.parent} ({reason_of(error)})"
        return ""

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Do something to what is called ``name`` that no other worker does at the same time.

        A worker that was taken for dead, since the network was down, may still be at work.

        Raises:
            OutputError: the command has ended, or another worker is not done with it.
        """
        if not self.is_open:
            raise OutputError("the command that asked for this work has ended")
        key = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()
        with waiting(Path(self.path, f"{key}.lock")):
            yield

    def place(self, name: str) -> Path:
        """A new empty folder in it; what a worker that died left there is removed.

        Raises:
            OutputError: it cannot be made, such as where the workroom is gone.
        """
        folder = Path(self.path, name)
        shutil.rmtree(folder, ignore_errors=True)
        try:
            folder.mkdir()
        except FileNotFoundError:
            raise OutputError(f"{folder.parent.parent} is gone") from None
        except OSError as error:
            raise OutputError(
                f"{folder.parent.parent} cannot be written: {reason_of(error)}"
            ) from error
        return folder

    def clear(self, name: str) -> None:
        """Remove a folder in it, and what is in that."""
        shutil.rmtree(Path(self.path, name), ignore_errors=True)


@contextmanager
def workroom(folder: Path) -> Iterator[Workroom]:
    """A workroom in ``folder``, which is made, and is gone again if nothing is in it at the end.

    Raises:
        ConfigError: ``folder`` is a URL.
        OutputError: nothing can be written there.
    """
    folder = local_path(folder).absolute()
    new = not folder.exists()
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if new:
                stack.callback(_remove_if_empty, folder)
            part = stack.enter_context(part_folder(folder))
            room = Workroom(str(part), secrets.token_hex(16))
            (part / _TOKEN).write_text(room.token, encoding="ascii")
        except OSError as error:
            raise OutputError(f"{folder} cannot be written: {reason_of(error)}") from error
        yield room


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):  # it is not empty, so it is wanted
        folder.rmdir()


def _identity(path: Path) -> str:
    digest = hashlib.sha256()
    if path.is_dir():
        names = sorted(entry.name for entry in os.scandir(path) if entry.name[:1] != ".")
        digest.update("\n".join(names[:_MOST_NAMES]).encode("utf-8", "surrogateescape"))
        for mark in _MARKS:
            if mark in names:
                digest.update((path / mark).read_bytes())
    else:
        digest.update(f"{path.stat().st_size} ".encode())
        with path.open("rb") as file:
            digest.update(file.read(_BEGINNING))
    return digest.hexdigest()
