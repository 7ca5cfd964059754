"""What this machine has, and the backend that would be used."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from mriseg import __version__
from mriseg.backends import Backend, available, describe
from mriseg.backends.machine import cores, memory
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews_machine

_LIBRARIES = ("torch", "numpy", "scipy", "zarr", "nibabel", "safetensors")


@dataclass(frozen=True, repr=False)
class MachineInfo(Shown):
    """This machine as mriseg sees it.

    Attributes:
        versions: of mriseg, Python and the libraries that its numbers depend on.
        system: operating system and processor architecture.
        cores: that this process may use.
        memory: physical, in bytes; None where the system does not say.
        backends: (name, whether this machine has it, and if not, why).
        chosen: the backend that would be used, as `mriseg.backends.describe` gives it.
    """

    versions: dict[str, str]
    system: str
    cores: int
    memory: int | None
    backends: tuple[tuple[str, bool, str], ...]
    chosen: dict[str, Any]

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews_machine.of_a_machine(self)


def machine(chosen: Backend) -> MachineInfo:
    """What this machine has; ``chosen`` is the backend that would be used."""
    return MachineInfo(
        versions={
            "mriseg": __version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in _LIBRARIES},
        },
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        cores=cores(),
        memory=memory(),
        backends=tuple((entry.name, entry.ok, entry.why) for entry in available()),
        chosen=describe(chosen),
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"
