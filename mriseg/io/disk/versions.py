"""Which versions of a format are read, and how; the message for the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from mriseg.errors import InputError

T = TypeVar("T")


def reading(
    table: Mapping[int, T], version: object, *, what: str, remedy: str, error: type[InputError]
) -> T:
    """How a document of a version is read.

    A format's table names every version that is still read. An older one that no longer is has
    left the table, and ``remedy`` says what makes a new one of it.

    Args:
        table: version -> what reads it.
        version: what the document says.
        what: the document and its format, such as "out.zarr has store format".
        remedy: what to do about a version that is too old.
        error: what to raise.

    Raises:
        InputError: of type ``error``: the version is not in the table.
    """
    # True is 1, and not a version.
    if isinstance(version, int) and not isinstance(version, bool):
        if version in table:
            return table[version]
        newest = max(table)
        if version > newest:
            raise error(
                f"{what} {version}, and this mriseg reads {newest} at most; install a newer mriseg"
            )
        if 0 < version < min(table):
            raise error(f"{what} {version}, which this mriseg no longer reads; {remedy}")
    raise error(f"{what} {version!r}, which is not a version: it is damaged; {remedy}")
