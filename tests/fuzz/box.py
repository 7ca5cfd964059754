"""One bad input's place: where it lies, where results go, and what must stay as it is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path

# What a file system says of an entry; contents are not read, since some entries never end.
State = tuple[int, int, int]


@dataclass(frozen=True)
class Box:
    """Folders beside one another under ``root``.

    Attributes:
        root: of all of them.
        given: the input, hostile or broken.
        out: where results belong, and the only folder that may change.
        outside: files that are nobody's business; links and names of the input point at them.
    """

    root: Path
    given: Path
    out: Path
    outside: Path

    def state(self) -> dict[str, State]:
        """Everything under ``root`` but ``out``: mode, size and time of change."""
        entries = {}
        for folder, folders, files in os.walk(self.root):
            if Path(folder) == self.root:
                folders.remove(self.out.name)
            for name in (*folders, *files):
                path = os.path.join(folder, name)  # noqa: PTH118  # names may be unusual
                now = os.lstat(path)
                # A folder's size is the file system's affair, its time that of its entries.
                entries[path] = (now.st_mode, now.st_size, now.st_mtime_ns)
        return entries


@contextmanager
def boxed(under: Path | None = None) -> Iterator[Box]:
    """A box, in which the process is while the block runs; gone after it."""
    root = Path(tempfile.mkdtemp(prefix="fuzz-", dir=under))
    box = Box(root, root / "given", root / "out", root / "outside")
    try:
        for folder in (box.given, box.out, box.outside):
            folder.mkdir()
        (box.outside / "secret.txt").write_text("a stranger's file is not to read or change this\n")
        with chdir(box.out):
            yield box
    finally:
        shutil.rmtree(root, ignore_errors=True)
