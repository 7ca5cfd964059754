"""How a store's arrays are read, fastest where they lie on this machine.

tensorstore reads a chunk of a local store in a tenth of zarr's time, without Python's lock, and so
in as many threads as ask; and those at s3://. zarr, which also writes the stores, reads those at
other URLs: it alone has the storage classes for them. Both read the same format, and give the same
errors.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import tensorstore
import zarr
from numpy.typing import NDArray
from zarr.storage import StorePath

from mriseg.errors import reason_of
from mriseg.io.disk.untrusted import parse_json
from mriseg.io.location import Location
from mriseg.io.store.storage import Tree, as_os_errors, patiently
from mriseg.io.store.trees import tree_at

Array = NDArray[Any]

# Begins to read a part of an array's first axis, and gives what waits for it.
Reading: TypeAlias = Callable[[], Array]
Reader: TypeAlias = Callable[[int | slice], Reading]

# Reads under way at once where zarr does them.
_AT_ONCE = 16

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
    if where.is_local:
        folder = {"driver": "file", "path": str(where.absolute.path / path)}
        spec = {"driver": "zarr3", "kvstore": folder, "fill_missing_data_reads": False}
        store = tensorstore.open(spec, read=True, context=_CONTEXT).result()
        return lambda which: store[which].read().result
    with as_os_errors(where):
        tree = tree_at(where)
        if metadata is None:
            metadata = parse_json(tree.read_surely(f"{path}/zarr.json"))
    # Of version 3 alone: version 2 knows a codec that unpickles, and so runs, what it reads.
    if not isinstance(metadata, dict) or metadata.get("zarr_format") != 3:
        raise ValueError(f"{path}/zarr.json is not of an array of zarr's version 3")
    place = tree.for_tensorstore(path)
    if place is not None:
        return _open_far(place, metadata)
    return _open_by_zarr(where, tree, path, metadata)


def _open_far(place: Mapping[str, Any], metadata: Mapping[str, Any]) -> Reader:
    """An array in an object store, read by tensorstore, many requests at once."""
    spec = {
        "driver": "zarr3",
        "kvstore": dict(place),
        "metadata": {key: value for key, value in metadata.items() if value is not None},
        "fill_missing_data_reads": False,
    }
    store = tensorstore.open(
        spec, read=True, open=True, assume_metadata=True, context=_far_context()
    ).result()

    def begin(which: int | slice) -> Reading:
        first = [store[which].read()]

        def read() -> Array:
            def once() -> Array:
                try:
                    return np.asarray((first.pop() if first else store[which].read()).result())
                except (ValueError, RuntimeError) as error:
                    if "NOT_FOUND" in str(error):
                        raise FileNotFoundError(reason_of(error)) from None
                    raise

            return patiently(once)

        return read

    return begin


@lru_cache(maxsize=1)
def _far_context() -> tensorstore.Context:
    return tensorstore.Context(
        {
            "cache_pool": {"total_bytes_limit": 0},
            "s3_request_concurrency": {"limit": 64},
            # As in `mriseg.io.store.objects`.
            "s3_request_retries": {
                "max_retries": 8,
                "initial_delay": "100ms",
                "max_delay": "10s",
            },
        }
    )


def _open_by_zarr(where: Location, tree: Tree, path: str, metadata: Mapping[str, Any]) -> Reader:
    """An array at a URL, read by zarr."""
    storage = tree.zarr_store()
    knows_missing = not isinstance(storage, str)
    with as_os_errors(where):
        array: Any = (
            zarr.Array.from_dict(StorePath(storage, path), dict(metadata))
            if knows_missing
            else zarr.open_array(storage, path=path, mode="r", zarr_format=3)
        )
    shard = "/".join((path, "c", *"0" * array.ndim))

    def read(which: int | slice) -> Array:
        with as_os_errors(where):
            values = np.asarray(array[which])
        # zarr reads zeros where a chunk is missing. That is one more question for an empty
        # label map, and none for a slice of a head.
        if not (knows_missing or values.any() or tree.is_there(shard)):
            raise FileNotFoundError(f"{shard} is missing")
        return values

    return lambda which: _pool(os.getpid()).submit(read, which).result


# Threads are made when they are first needed, and belong to their process.
@lru_cache(maxsize=1)
def _pool(_pid: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="mriseg-get")
