"""What lies at a location, and the store that a user left unnamed."""

from __future__ import annotations

import zipfile
from enum import Enum
from pathlib import Path

from mriseg.errors import InputError
from mriseg.io.hub.address import is_address
from mriseg.io.images import is_image
from mriseg.io.location import Location
from mriseg.io.model_sources import MODELS
from mriseg.io.store import CASES


class Kind(Enum):
    """What may lie at a location; its value names it in a sentence."""

    STORE = "a store"
    RUN = "a run"
    RUNS = "a folder of runs"
    EXPORT = "an exported file"
    SCANS = "scans"
    NOTHING = "nothing"


def what_is(given: str | Path | Location) -> Kind:
    """What lies at a location, by its looks: opening it may still find it damaged.

    Args:
        given: the location. A text that is the name of a shipped model, or of one on the Hub, is
            that model; a Path or a Location of that name is a folder.

    Returns:
        The kind. A URL is a store, since nothing else is read by URL. A folder that is none of
        mriseg's, and a file that no exporter wrote, may hold scans: the readers find out.

    Raises:
        ConfigError: it looks like a URL that lost a slash.
    """
    if isinstance(given, str) and (given in MODELS or is_address(given)):
        return Kind.RUN
    where = Location.of(given)
    if not where.is_local:
        return Kind.STORE
    path = where.path
    if path.is_file():
        return Kind.EXPORT if _is_exported(path) else Kind.SCANS
    if (path / "run.json").exists():
        return Kind.RUN
    # A store that lost its root is a damaged store, and a folder "cases" of scans is none.
    if (path / "zarr.json").exists() or (path / CASES / "zarr.json").exists():
        return Kind.STORE
    if not path.exists():
        return Kind.NOTHING
    if (path / "mriseg.json").is_file() and _is_exported(path):
        return Kind.EXPORT
    return Kind.RUNS if any(path.glob("*/run.json")) else Kind.SCANS


def _is_exported(path: Path) -> bool:
    if is_image(path):
        return False
    from mriseg.io.exporters import exporter_of  # late: it loads torch

    return exporter_of(path) is not None or (path.is_file() and zipfile.is_zipfile(path))


def only_store(folder: Path) -> Path:
    """The only zarr store in ``folder``.

    Raises:
        InputError: there is no store, or more than one; the message lists them.
    """
    stores = sorted(path for path in folder.glob("*.zarr") if path.is_dir())
    if len(stores) == 1:
        return stores[0]
    if not stores:
        raise InputError(
            f"no store was named and there is none in {folder.resolve()}; "
            f"make one with: mriseg preprocess SRC out.zarr"
        )
    raise InputError(
        f"no store was named and there are {len(stores)} in this folder: "
        f"{', '.join(path.name for path in stores)}; name one"
    )
