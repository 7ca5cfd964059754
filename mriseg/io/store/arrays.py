"""How a store's arrays are read, fastest where they lie on this machine.

tensorstore reads a chunk of a local store in a tenth of zarr's time, without Python's lock, and so
in as many threads as ask. zarr, which also writes the stores, reads those that are given by URL:
it alone has the storage classes for them. Both read the same format, and give the same errors.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import tensorstore
import zarr
from numpy.typing import NDArray

Array = NDArray[Any]

# Begins to read a part of an array's first axis, and gives what waits for it.
Reading: TypeAlias = Callable[[], Array]
Reader: TypeAlias = Callable[[int | slice], Reading]

# Nothing is kept of what was read: slices are drawn at random, and rarely twice in a while.
_CONTEXT = tensorstore.Context({"cache_pool": {"total_bytes_limit": 0}})


def is_local(location: str) -> bool:
    """Whether a store lies in this machine's file system, and is not named by a URL."""
    return "://" not in location


def open_array(location: str, path: str, *, complete: bool = False) -> Reader:
    """An array of a store, to be read slice by slice.

    Args:
        location: of the store, a folder or a URL.
        path: of the array in it.
        complete: every chunk was written, so that one that is missing was lost and is an error.
            zarr has no such mode: by URL, and where this is False, it reads as noughts. See
            `or_lost`.

    Returns:
        A function that begins to read a slice or a range of slices, and returns a function that
        waits for it. What is begun before anything is waited for is read at once.

    Raises:
        OSError, ValueError, RuntimeError: there is none, or it cannot be read. So does reading.
    """
    if not is_local(location):
        # Of version 3 alone: version 2 knows a codec that unpickles, and so runs, what it reads.
        array: Any = zarr.open_array(location, path=path, mode="r", zarr_format=3)
        return lambda which: lambda: np.asarray(array[which])
    store = tensorstore.open(
        {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": str(Path(location) / path)},
            "fill_missing_data_reads": not complete,
        },
        read=True,
        context=_CONTEXT,
    ).result()
    return lambda which: store[which].read().result


def or_lost(reader: Reader, is_there: Callable[[], bool], name: str) -> Reader:
    """A reader that tells noughts that were written from an array's only file being gone.

    Where nothing but noughts is read, the file is looked for. That is one more question for an
    empty label map, and none for a slice of a head.

    Args:
        reader: of `open_array`.
        is_there: asks for the file.
        name: of the file, for the error, a FileNotFoundError where what was read is not there.
    """

    def begin(which: int | slice) -> Reading:
        reading = reader(which)

        def read() -> Array:
            values = reading()
            if not values.any() and not is_there():
                raise FileNotFoundError(f"{name} is missing")
            return values

        return read

    return begin
