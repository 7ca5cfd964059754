"""The files of a store, by the library that opens its location."""

from __future__ import annotations

from urllib.parse import urlsplit

from mriseg.io.location import Location
from mriseg.io.store.storage import Tree

_OBJECTS = ("s3", "s3a")


def tree_at(location: str | Location) -> Tree:
    """The files below a location, whatever it is.

    Raises:
        OSError: no installed library can open its URL.
    """
    where = Location.of(location)
    if not where.is_local and urlsplit(str(where)).scheme in _OBJECTS:
        from mriseg.io.store.objects import ObjectTree  # late: only such stores need it

        return ObjectTree(where)
    return Tree(where)
