"""The zarr store that `preprocess` writes and `train` reads.

- ``store``: opens and reads one
- ``arrays``: reads slices fast
- ``storage``: the files below, in a folder or at a URL
- ``loader``: reads batches ahead of their use
- ``integrity``: what is wrong with a stored case
"""

from __future__ import annotations

from mriseg.io.store.store import (
    CASES,
    FORMAT,
    FORMAT_VERSION,
    VERSIONS,
    Batch,
    Store,
    StoreSpec,
    attributes_in,
    create,
    documents,
    frame_for,
    key_of,
    open_store,
    shard_name,
)

__all__ = [
    "CASES",
    "FORMAT",
    "FORMAT_VERSION",
    "VERSIONS",
    "Batch",
    "Store",
    "StoreSpec",
    "attributes_in",
    "create",
    "documents",
    "frame_for",
    "key_of",
    "open_store",
    "shard_name",
]
