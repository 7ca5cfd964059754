"""Walking a user's folder: sorted, never leaving it, and with names that can be written as text."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from mriseg.errors import InputError, reason_of
from mriseg.io.disk.untrusted import is_regular


def walk(root: Path) -> Iterator[tuple[Path, list[Path], list[Path]]]:
    """Every folder under ``root`` and ``root`` itself, with its folders and its files, sorted.

    Hidden entries (``._x.nii.gz``, ``__MACOSX``) are omitted, and so is anything that is neither a
    folder nor a file (a pipe, a broken link). Links to folders are not followed, and links to files
    only if they stay inside. As with `os.walk`, a caller may remove folders from the list to skip
    them.

    Raises:
        InputError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise InputError(f"{error.filename} cannot be read: {reason_of(error)}")

    inside = root.resolve()
    for name, folders, files in os.walk(root, onerror=refuse):
        parent = Path(name)
        subfolders = [
            parent / folder
            for folder in sorted(folders)
            if _is_visible(folder) and not (parent / folder).is_symlink()
        ]
        paths = (parent / file for file in sorted(files))
        yield parent, subfolders, [path for path in paths if _is_inside(path, inside)]
        folders[:] = [path.name for path in subfolders]


def files(folder: Path) -> list[Path]:
    """The files directly in ``folder``, as `walk` gives them."""
    return next(walk(folder))[2]


def _is_visible(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _is_inside(path: Path, root: Path) -> bool:
    # Not regular: a pipe, a device, a link that leads nowhere or to itself.
    if not _is_visible(path.name) or not is_regular(path):
        return False
    return not path.is_symlink() or path.resolve().is_relative_to(root)


def text(name: str) -> str:
    """A file's name as text that UTF-8 can encode, whatever bytes it consists of."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def unique_names(root: Path, folders: Iterable[Path]) -> dict[Path, str]:
    """A name for each folder: its own, preceded by those of its parents where two are equal."""
    own = {path: text((root.resolve() / path.relative_to(root)).name) for path in folders}
    count = Counter(own.values())
    names: dict[Path, str] = {}
    for path, name in own.items():
        if count[name] > 1:
            name = "__".join(text(part) for part in path.relative_to(root).parts) or name
        # "a__b/c" and "a/b__c" would still be equal.
        while name in names.values():
            name += "_"
        names[path] = name
    return names
