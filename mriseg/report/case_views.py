"""The volumes of cases for the viewers of a page, kept on disk until the page is written.

A case is packed while it is in memory, which a page of hundreds of cases could not hold.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from mriseg.io.assets import niivue
from mriseg.io.disk.documents import write_text
from mriseg.io.disk.untrusted import read_text
from mriseg.report.page import Viewer
from mriseg.report.viewer import ABSENT, PackedCase, ViewedCase, packed, page_viewer


class CaseViews:
    """Packed cases by name.

    Args:
        folder: for their volumes; somebody else removes it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[str, tuple[PackedCase, int]] = {}

    def add(self, name: str, case: Callable[[], ViewedCase]) -> None:
        """Keep a case, in the place of one of that name; nothing where there is no viewer.

        Raises:
            OutputError: the folder cannot be written.
        """
        if not self.absent:
            self.keep(name, packed(case()))

    def keep(self, name: str, whole: PackedCase) -> None:
        """`add` a case that is packed already.

        Raises:
            OutputError: the folder cannot be written.
        """
        path = self._path(name)
        write_text(path, whole.content)
        self._kept[name] = replace(whole, content=""), path.stat().st_size

    @property
    def absent(self) -> bool:
        """Whether there is no viewer in this installation."""
        return niivue() is None

    def __contains__(self, name: object) -> bool:
        return name in self._kept

    def size(self, name: str) -> int:
        """About how many bytes a case takes in a page."""
        return self._kept[name][1] if name in self._kept else 0

    def viewer(self, name: str) -> Callable[[bool], Viewer | str] | None:
        """What `mriseg.report.page.CaseEntry` asks for; None: that case is not kept."""
        if self.absent:
            return lambda _: ABSENT
        return partial(self._viewer, name) if name in self._kept else None

    def _viewer(self, name: str, opened: bool) -> Viewer | str:
        case, _ = self._kept[name]
        return page_viewer(replace(case, content=read_text(self._path(name))), opened=opened)

    def _path(self, name: str) -> Path:
        # Numbered, since a name may be longer than a file's may be.
        number = list(self._kept).index(name) if name in self._kept else len(self._kept)
        return self._folder / f"{number}.json"
