"""A store at a location: opened if it exists, made if nothing lies there."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from mriseg.errors import OutputError, StoreError, reason_of
from mriseg.io.disk.atomic import is_free
from mriseg.io.disk.checksums import as_written
from mriseg.io.disk.schemas import checked
from mriseg.io.disk.versions import reading
from mriseg.io.location import Location
from mriseg.io.store.attributes import FORMAT, StoreSpec, attributes_in
from mriseg.io.store.store import Store
from mriseg.io.store.trees import tree_at
from mriseg.io.store.writer import write_root

VERSIONS: Mapping[int, Callable[[Mapping[str, Any]], StoreSpec]] = {
    1: partial(checked, StoreSpec),
    2: partial(checked, StoreSpec),
}
"""How a store of each version is read; the first has no index."""


def create(location: str | Path | Location, spec: StoreSpec) -> Store:
    """A store at ``location``: a new one, or the one that exists if it is of the same kind.

    Cases of several layouts may share a store. Its layout and names of labels are the first's.

    Raises:
        ConfigError: the location looks like a URL that lost a slash.
        OutputError: something else lies there, or a store of other regions or of scans that were
            prepared otherwise; or it cannot be written.
    """
    where = Location.of(location)
    if _is_free(where):
        write_root(where, spec)
        return Store(str(where), spec)
    try:
        store = open_store(where)
    except StoreError as error:
        raise OutputError(f"{error}. Choose another name") from None
    if list(store.spec.regions.items()) != list(spec.regions.items()):
        raise OutputError(
            f"{where} was made for other regions ({_described(store.spec)}; now "
            f"{_described(spec)}). Ask for its own with --regions, or choose another name"
        )
    if store.spec.preparation != spec.preparation:
        raise OutputError(
            f"the scans in {where} were prepared otherwise ({store.spec.preparation}; now "
            f"{spec.preparation}). Ask for its own with --reference, --align and --strip, or "
            f"choose another name"
        )
    return store


def _is_free(where: Location) -> bool:
    if where.is_local:
        return is_free(where.path)
    try:
        return tree_at(where).is_empty()
    except OSError as error:
        raise OutputError(f"{where} cannot be written: {reason_of(error)}") from error


def open_store(location: str | Path | Location) -> Store:
    """Open a store for reading (or appending).

    Raises:
        ConfigError: the location looks like a URL that lost a slash.
        StoreError: there is none, or its format is newer than this version reads.
    """
    where = Location.of(location)
    if where.is_local and not where.path.exists():
        raise StoreError(
            f"{where} does not exist; make a store with: mriseg preprocess SRC {where}"
        )
    document, root = _root(where)
    read = reading(
        VERSIONS,
        root.get("version"),
        what=f"{where} has store format",
        remedy=f"make it again with: mriseg preprocess SRC {where}",
        error=StoreError,
    )
    if not as_written(io.BytesIO(document)):
        raise StoreError(
            f"{where}/zarr.json is damaged: it is not what was written; restore it from a copy, or "
            f"preprocess again"
        )
    try:
        return Store(str(where), read(root), root["version"])
    except ValueError as error:
        raise StoreError(f"{where}/zarr.json is damaged ({error}); preprocess again") from None


def _root(where: Location) -> tuple[bytes, dict[str, Any]]:
    """A store's ``zarr.json``, and what it says for all cases."""
    try:
        document = tree_at(where).read("zarr.json")
        root = attributes_in(document)
    except (OSError, ValueError) as error:
        if not where.is_local and not isinstance(error, FileNotFoundError):
            raise StoreError(f"{where} cannot be read: {reason_of(error)}") from None
        root = None
    if root is None or root.get("format") != FORMAT:
        raise StoreError(
            f"{where} is not an mriseg store; make one with: mriseg preprocess SRC OUT.zarr"
        )
    return document, root


def _described(spec: StoreSpec) -> str:
    regions = ", ".join(f"{n}={'+'.join(map(str, v))}" for n, v in spec.regions.items())
    return f"{spec.layout}: {regions}"
