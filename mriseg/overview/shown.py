"""The base class of what can be looked at: reports, stores and runs."""

from __future__ import annotations

import os
import sys
import webbrowser
from abc import ABC, abstractmethod
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mriseg.core.wording import counted
from mriseg.errors import BackendError, MrisegError
from mriseg.overview.markup import as_html, as_text
from mriseg.overview.values import Overview

if TYPE_CHECKING:
    import pandas

# Pictures that a notebook is given at once, and bytes of a page that it holds.
_MAX_PICTURES, _MAX_PAGE = 12, 2_000_000


class Shown(ABC):
    """Something to look at. Subclasses say what they show; how it looks is the same for all."""

    @abstractmethod
    def overview(self) -> Overview:
        """What it shows of itself, as plain values.

        Raises:
            MrisegError: it cannot be read.
        """

    @property
    def pictures(self) -> tuple[Path, ...]:
        """The files of its pictures, as far as they exist."""
        return tuple(_existing(self.overview()).pictures)

    def show(self) -> None:
        """Show its numbers and its pictures, or the page of them.

        In a notebook they are below the cell. Elsewhere the numbers are printed, and the page, or
        else the first picture, is opened in the browser if there is a desktop to do so on; its
        path is printed in any case.

        Raises:
            MrisegError: it cannot be read.
        """
        overview = _existing(self.overview())
        if in_notebook():
            _show_in_notebook(overview)
        else:
            _show_elsewhere(overview)

    def to_pandas(self) -> pandas.DataFrame:
        """Its table in full, as a data frame of pandas.

        Raises:
            BackendError: pandas is not installed.
            MrisegError: it cannot be read.
        """
        records = self.overview().records
        try:
            frame: Any = import_module("pandas").DataFrame
        except ModuleNotFoundError:
            raise BackendError(
                "to_pandas() needs pandas, which mriseg does without: pip install pandas"
            ) from None
        table: pandas.DataFrame = frame([dict(record) for record in records])
        return table

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self._readable().title}>"

    def __str__(self) -> str:
        return as_text(self._readable())

    def _repr_html_(self) -> str:
        return as_html(self._readable())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython prints in a terminal, and a notebook keeps beside the HTML."""
        # Within a list, say, the short form.
        printer.text(repr(self) if cycle or printer.indentation else str(self))

    def _readable(self) -> Overview:
        """The overview, or why there is none: what a notebook prints must not raise."""
        try:
            return _existing(self.overview())
        except MrisegError as error:
            return Overview(f"{type(self).__name__} that cannot be read: {error}")


def in_notebook() -> bool:
    """Whether this is a notebook, which can show HTML and pictures."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module else None
    return getattr(shell, "kernel", None) is not None


def _existing(overview: Overview) -> Overview:
    """The overview with those of its files that exist."""
    page = overview.page if overview.page is not None and overview.page.is_file() else None
    return replace(overview, pictures=[p for p in overview.pictures if p.is_file()], page=page)


def _show_in_notebook(overview: Overview) -> None:
    ipython: Any = import_module("IPython.display")
    page, pictures = overview.page, overview.pictures
    ipython.display({"text/html": as_html(overview), "text/plain": as_text(overview)}, raw=True)
    for path in pictures[:_MAX_PICTURES]:
        ipython.display(ipython.Image(filename=str(path), embed=True))
    if len(pictures) > _MAX_PICTURES:
        more = f"and {counted(len(pictures) - _MAX_PICTURES, 'more picture')}: see .pictures"
        ipython.display({"text/plain": more}, raw=True)
    if page is None:
        return
    if not pictures and page.stat().st_size <= _MAX_PAGE:
        text = ipython.HTML(filename=str(page)).data
        ipython.display({"text/html": _framed(text), "text/plain": str(page)}, raw=True)
    else:
        ipython.display(ipython.FileLink(str(page)))


def _framed(page: str) -> str:
    """A whole page within a cell, apart from the notebook's own."""
    quoted = page.replace("&", "&amp;").replace('"', "&quot;")
    return (
        f'<iframe sandbox="allow-scripts" width="100%" height="600" style="border:0" '
        f'srcdoc="{quoted}"></iframe>'
    )


def _show_elsewhere(overview: Overview) -> None:
    print(as_text(overview))
    best = overview.page or next(iter(overview.pictures), None)
    if best is None:
        return
    if best != overview.page:
        print(f"picture: {best}")
    if has_desktop():
        webbrowser.open(best.absolute().as_uri())


def has_desktop() -> bool:
    """Whether a browser would open where its user sees it, and not in the terminal."""
    if sys.platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
