"""Walking a user's folder: sorted, through links, and with names that can be written as text."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from mriseg.errors import InputError, reason_of
from mriseg.io.disk.untrusted import is_regular

# A link in a folder that was reached by a link, and so on: more than any cluster has.
_MAX_LINKS = 8


def walk(
    root: Path, left_out: MutableMapping[Path, str] | None = None
) -> Iterator[tuple[Path, list[Path], list[Path]]]:
    """Every folder under ``root`` and ``root`` itself, with its folders and its files, sorted.

    Links are followed, as data sets of DataLad and DVC are made of them. Hidden entries
    (``._x.nii.gz``, ``__MACOSX``) are omitted. As with `os.walk`, a caller may remove folders from
    the list to skip them.

    Args:
        root: the folder.
        left_out: gets every entry that is neither a folder nor a file, and each link to a folder
            that was walked already or contains the link itself, with the reason.

    Raises:
        InputError: a folder cannot be read.
    """
    left_out = {} if left_out is None else left_out
    try:
        seen = {_identity(root): root}
    except OSError as error:
        raise InputError(f"{root} cannot be read: {reason_of(error)}") from error
    above = {_identity(folder) for folder in root.resolve().parents}
    yield from _walk(root, 0, seen, above, left_out)


def _walk(
    folder: Path,
    links: int,
    seen: dict[tuple[int, int], Path],
    above: set[tuple[int, int]],
    left_out: MutableMapping[Path, str],
) -> Iterator[tuple[Path, list[Path], list[Path]]]:
    subfolders, files = [], []
    for path in _entries(folder):
        try:
            is_folder = path.is_dir()
        except OSError:  # A link to itself, on some systems.
            is_folder = False
        if is_folder:
            if reason := _why_not(path, links, seen, above):
                left_out[path] = reason
            else:
                subfolders.append(path)
        elif is_regular(path):
            files.append(path)
        else:
            left_out[path] = _why_no_file(path)
    yield folder, subfolders, files
    for path in subfolders:
        if reason := _why_not(path, links, seen, above):
            left_out[path] = reason
            continue
        seen[_identity(path)] = path
        yield from _walk(path, links + path.is_symlink(), seen, above, left_out)


def _entries(folder: Path) -> list[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{error.filename} cannot be read: {reason_of(error)}") from error
    return [path for path in paths if not path.name.startswith(".") and path.name != "__MACOSX"]


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _why_not(
    folder: Path, links: int, seen: dict[tuple[int, int], Path], above: set[tuple[int, int]]
) -> str:
    """Why a folder is not walked into; empty if it is."""
    try:
        identity = _identity(folder)
    except OSError as error:
        return f"it cannot be read: {reason_of(error)}"
    if not folder.is_symlink():
        # A folder that a link led to before: which of the two paths comes first is chance.
        return f"the same folder as {seen[identity]}" if identity in seen else ""
    if identity in above:
        return "a link to a folder that contains the one given"
    if identity in seen:
        return f"a link to a folder that is read already, {seen[identity]}"
    return "a link in a folder behind too many links" if links >= _MAX_LINKS else ""


def _why_no_file(path: Path) -> str:
    if not path.is_symlink():
        return "neither a file nor a folder"
    target = text(str(path.readlink()))
    if path.exists():
        return f"a link to {target}, which is neither a file nor a folder"
    return f"a broken link: its content, {target}, is missing (not fetched yet?)"


def files(folder: Path) -> list[Path]:
    """The files directly in ``folder``, as `walk` gives them."""
    return next(walk(folder))[2]


def text(name: str) -> str:
    """A file's name as text that UTF-8 can encode, whatever bytes it consists of."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
