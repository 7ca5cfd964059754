"""The zarr store that `preprocess` writes and `train` reads.

- ``opening``: makes one, or opens the one that exists
- ``store``: reads one
- ``writer``: writes into one
- ``attributes``: what a store says of itself and of its cases
- ``catalogue``: the cases, each made when it is asked for
- ``index``, ``segments``: what all cases say, in a few files
- ``arrays``: reads slices fast
- ``case_arrays``: those of the cases, kept open
- ``storage``: the files below, in a folder or at a URL
- ``objects``, ``clients``: those in an object store
- ``remedies``: what to do about a case that cannot be read
- ``loader``: reads batches ahead of their use
- ``integrity``: what is wrong with a store and its cases
"""

from __future__ import annotations

from mriseg.io.store.attributes import (
    CASES,
    FORMAT,
    FORMAT_VERSION,
    CaseAttributes,
    Source,
    StoreSpec,
    attributes_in,
    count,
    documents,
    key_of,
    shard_name,
)
from mriseg.io.store.opening import VERSIONS, create, open_store
from mriseg.io.store.store import Batch, Store, frame_for
from mriseg.io.store.writer import kept_if_filled

__all__ = [
    "CASES",
    "FORMAT",
    "FORMAT_VERSION",
    "VERSIONS",
    "Batch",
    "CaseAttributes",
    "Source",
    "Store",
    "StoreSpec",
    "attributes_in",
    "count",
    "create",
    "documents",
    "frame_for",
    "kept_if_filled",
    "key_of",
    "open_store",
    "shard_name",
]
