"""Damage to folders: odd names, links and files that are none."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

from tests.fuzz.box import Box

# As bytes, since a file name need not be text. None may hold "/" or a zero byte.
_NAMES = (
    b"..",
    b"...",
    b".hidden",
    b"-rf",
    b"a b",
    b"a\nb",
    b"\x1b[31mred",
    b"\xff\xfe\x80",
    b"\xc3(",
    "\N{LATIN SMALL LETTER E}\N{COMBINING ACUTE ACCENT}".encode(),
    "\N{RIGHT-TO-LEFT OVERRIDE}gz.ini".encode(),
    b"%2e%2e",
    b"..%2f..%2foutside",
    b"a\\..\\b",
    b"$x_{",
    b"[bold]",
    b"zarr.json",
    b"CON",
    b"x" * 255,
)


def disturbed(rng: Random, box: Box) -> None:
    """One to three changes to the tree under ``box.given``."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        entries = sorted(box.given.rglob("*"))
        if entries:
            rng.choice(_WAYS)(rng, box, rng.choice(entries))


def _renamed(rng: Random, box: Box, path: Path) -> None:
    """Another name, mostly with the ending that readers go by."""
    name = rng.choice(_NAMES)
    if rng.random() < 0.7:
        ending = os.fsencode("".join(path.suffixes)) or os.fsencode(path.name[-12:])
        kept = os.fsencode(path.stem.rpartition("_")[2])
        name = (name[: 255 - len(ending) - len(kept) - 1] + b"_" + kept + ending)[-255:]
    _moved(path, path.with_name("x").parent / os.fsdecode(name))


def _moved(path: Path, to: Path) -> None:
    try:
        if not to.exists() and to.name not in (".", ".."):
            path.rename(to)
    except OSError:
        pass  # This file system refuses the name; so it need not be read.


def _emptied(rng: Random, box: Box, path: Path) -> None:
    if path.is_file() and not path.is_symlink():
        path.write_bytes(b"")


def _removed(rng: Random, box: Box, path: Path) -> None:
    _away(path)


def _doubled(rng: Random, box: Box, path: Path) -> None:
    """The same again under a like name."""
    if path.is_file() and not path.is_symlink():
        other = path.with_name(rng.choice((path.name.upper(), f"x_{path.name}", f"{path.name}.gz")))
        with suppress(OSError):  # it is there, or this file system refuses the name
            os.link(path, other)


def _linked(rng: Random, box: Box, path: Path) -> None:
    """A link in its place."""
    target = rng.choice(
        (
            Path("/dev/zero"),
            Path("/dev/null"),
            Path("/etc/passwd"),
            Path("/"),
            box.outside,
            box.outside / "secret.txt",
            box.given,
            Path(".."),
            Path(path.name),  # to itself
            Path("nowhere"),
        )
    )
    _away(path)
    path.symlink_to(target)


def _loop(rng: Random, box: Box, path: Path) -> None:
    other = path.with_name("loop_" + path.name[-200:])
    if path.is_dir() or other.exists() or other.is_symlink():
        return
    _away(path)
    path.symlink_to(other.name)
    other.symlink_to(path.name)


def _piped(rng: Random, box: Box, path: Path) -> None:
    """A pipe, which a reader waits on for ever."""
    if path.is_symlink() or path.is_file():
        _away(path)
        os.mkfifo(path)


def _foldered(rng: Random, box: Box, path: Path) -> None:
    """A folder where a file was."""
    if path.is_file() and not path.is_symlink():
        _away(path)
        path.mkdir()


def _filed(rng: Random, box: Box, path: Path) -> None:
    """A file where a folder was."""
    if path.is_dir() and not path.is_symlink():
        _away(path)
        path.write_bytes(b"text")


def _unreadable(rng: Random, box: Box, path: Path) -> None:
    if path.is_file() and not path.is_symlink():
        path.chmod(0)


def _away(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        _moved(path, path.with_name(f".was_{abs(hash(path.name)) % 10**6}"))
    else:
        path.unlink()


_WAYS: tuple[Callable[[Random, Box, Path], None], ...] = (
    _renamed,
    _renamed,
    _renamed,
    _emptied,
    _removed,
    _doubled,
    _linked,
    _linked,
    _loop,
    _piped,
    _foldered,
    _filed,
    _unreadable,
)
