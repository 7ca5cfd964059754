"""What reports are made of besides numbers: scripts and styles that ship with the package."""

from __future__ import annotations

from importlib.resources import files

from mriseg.errors import InputError

NIIVUE = "niivue/niivue.umd.js"
"""The viewer's library, which is not in the repository: `scripts/viewer` and builds fetch it."""


def asset(name: str) -> str:
    """The text of a file of ``mriseg/report/assets``.

    Raises:
        InputError: the package was installed without it.
    """
    path = files("mriseg").joinpath("report", "assets", *name.split("/"))
    if not path.is_file():
        raise InputError(
            f"{name} is missing from this installation of mriseg: reinstall it with pip"
        )
    return path.read_text(encoding="utf-8")


def niivue() -> str | None:
    """NiiVue's script, or None where the package was built or set up without it."""
    path = files("mriseg").joinpath("report", "assets", *NIIVUE.split("/"))
    return path.read_text(encoding="utf-8") if path.is_file() else None
