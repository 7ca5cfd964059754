"""How a store's arrays are read, fastest where they lie on this machine.

tensorstore reads a chunk of a local store in a tenth of zarr's time, without Python's lock, and so
in as many threads as ask. zarr, which also writes the stores, reads those that are given by URL:
it alone has the storage classes for them. Both read the same format, and give the same errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import tensorstore
import zarr
from numpy.typing import NDArray
from zarr.storage import StorePath

from mriseg.io.disk.untrusted import parse_json
from mriseg.io.location import Location
from mriseg.io.store.storage import Tree, as_os_errors, tree_at

Array = NDArray[Any]

# Begins to read a part of an array's first axis, and gives what waits for it.
Reading: TypeAlias = Callable[[], Array]
Reader: TypeAlias = Callable[[int | slice], Reading]

# Nothing is kept of what was read: slices are drawn at random, and rarely twice in a while.
_CONTEXT = tensorstore.Context({"cache_pool": {"total_bytes_limit": 0}})


def open_array(
    location: str | Location, path: str, metadata: Mapping[str, Any] | None = None
) -> Reader:
    """An array of a store, to be read slice by slice.

    Every chunk of it was written, so that one that is missing was lost, and is an error.

    Args:
        location: of the store, a folder or a URL.
        path: of the array in it.
        metadata: what its ``zarr.json`` says, where that was read already.

    Returns:
        A function that begins to read a slice or a range of slices, and returns a function that
        waits for it. What is begun before anything is waited for is read at once.

    Raises:
        OSError, ValueError, RuntimeError: there is none, or it cannot be read. So does reading.
    """
    where = Location.of(location)
    if not where.is_local:
        return _open_remote(where, path, metadata)
    store = tensorstore.open(
        {
            "driver": "zarr3",
            "kvstore": {"driver": "file", "path": str(where.absolute.path / path)},
            "fill_missing_data_reads": False,
        },
        read=True,
        context=_CONTEXT,
    ).result()
    return lambda which: store[which].read().result


def _open_remote(where: Location, path: str, metadata: Mapping[str, Any] | None) -> Reader:
    """An array at a URL, read by zarr."""
    with as_os_errors(where):
        tree = tree_at(where)
        if metadata is None:
            metadata = parse_json(tree.read(f"{path}/zarr.json"))
        # Of version 3 alone: version 2 knows a codec that unpickles, and so runs, what it reads.
        if not isinstance(metadata, dict) or metadata.get("zarr_format") != 3:
            raise ValueError(f"{path}/zarr.json is not of an array of zarr's version 3")
        array: Any = _array(tree, path, metadata)
        knows_missing = not isinstance(tree.zarr_store(), str)
    shard = "/".join((path, "c", *"0" * array.ndim))

    def begin(which: int | slice) -> Reading:
        def read() -> Array:
            with as_os_errors(where):
                values = np.asarray(array[which])
            # zarr reads zeros where a chunk is missing. That is one more question for an empty
            # label map, and none for a slice of a head.
            if not (knows_missing or values.any() or tree.is_there(shard)):
                raise FileNotFoundError(f"{shard} is missing")
            return values

        return read

    return begin


def _array(tree: Tree, path: str, metadata: dict[str, Any]) -> Any:
    """Zarr's array, of what its ``zarr.json`` says: one request less for each."""
    storage = tree.zarr_store()
    if isinstance(storage, str):
        return zarr.open_array(storage, path=path, mode="r", zarr_format=3)
    return zarr.Array.from_dict(StorePath(storage, path), metadata)
