"""What reports are made of besides numbers: scripts and styles that ship with the package."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from mriseg.errors import InputError

NIIVUE = "niivue/niivue.umd.js"
"""The viewer's library, which is not in the repository: `scripts/viewer` and builds fetch it."""


def asset(name: str) -> str:
    """The text of a file of ``mriseg/report/assets``.

    Raises:
        InputError: the package was installed without it.
    """
    text = _text(name)
    if text is None:
        raise InputError(
            f"{name} is missing from this installation of mriseg: reinstall it with pip"
        )
    return text


def niivue() -> str | None:
    """NiiVue's script, or None where the package was built or set up without it."""
    return _text(NIIVUE)


def binary(name: str) -> bytes | None:
    """A file of ``mriseg/report/assets``, or None where the package was built or set up without."""
    path = files("mriseg").joinpath("report", "assets", *name.split("/"))
    return path.read_bytes() if path.is_file() else None


def page_style() -> str:
    """The style of mriseg's pages."""
    path = files("mriseg").joinpath("report", "templates", "style.css")
    return path.read_text(encoding="utf-8")


@cache
def _text(name: str) -> str | None:
    """A file's text, read once: a page of hundreds of cases asks for it with each."""
    path = files("mriseg").joinpath("report", "assets", *name.split("/"))
    return path.read_text(encoding="utf-8") if path.is_file() else None


def page_file(name: str) -> bytes | None:
    """A file of the page of ``mriseg annotate``, or NiiVue's script; None where there is none.

    Args:
        name: of a file that ships with the page; anything else, such as a path, is not a name.
    """
    if name == NIIVUE.rpartition("/")[2]:
        script = niivue()
        return None if script is None else script.encode()
    folder = files("mriseg").joinpath("annotation", "static")
    if not folder.is_dir():
        return None
    # Looked up among the names that are there: no name can lead out of the folder.
    known = {path.name: path for path in folder.iterdir() if path.is_file()}
    return known[name].read_bytes() if name in known else None
