"""Slices are read alike by tensorstore and by zarr, and a chunk that was lost is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from mriseg.io.store import Store, shard_name
from mriseg.io.store.arrays import open_array
from tests.stores import a_case, append


def test_what_zarr_alone_reads_is_what_the_store_reads(store: Store) -> None:
    append(store, "one", a_case())
    group: Any = zarr.open_group(store.location, mode="r")["cases/one"]
    case = store.read_case("one")
    assert np.array_equal(group["image"][:].transpose(1, 0, 2, 3), case.image)
    assert np.array_equal(group["label"][:], case.labels)


@pytest.mark.parametrize("scheme", ["", "local://"])
def test_a_lost_chunk_is_an_error_and_not_zeros(store: Store, scheme: str) -> None:
    append(store, "one", a_case())
    read = open_array(f"{scheme}{store.location}", "cases/one/label")
    whole = read(slice(None))()
    assert np.array_equal(read(5)(), whole[5]) and whole.any() and not whole[0].any()
    Path(store.location, "cases/one/label", shard_name("label")).unlink()
    for which in (0, 5, slice(None)):
        with pytest.raises((OSError, ValueError), match="missing"):
            read(which)()
