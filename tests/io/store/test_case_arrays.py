"""Arrays are opened when they are read; one that does not fit its case is an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from mriseg.errors import StoreError
from mriseg.io.store import Store, open_store
from tests.stores import a_case, append


def test_nothing_is_open_before_it_is_read(store: Store) -> None:
    append(store, "one", a_case())
    fresh = open_store(store.location)
    fresh.index()
    assert fresh._arrays._array.cache_info().currsize == 0
    fresh.read_case("one")
    assert fresh._arrays._array.cache_info().currsize == 2
    fresh._arrays.forget()
    assert fresh._arrays._array.cache_info().currsize == 0


@pytest.mark.parametrize("scheme", ["", "local://"])
def test_an_array_of_another_shape_is_refused(store: Store, scheme: str) -> None:
    append(store, "one", a_case(modalities=("T1",)))
    append(store, "two", a_case(modalities=("T1", "T2")))
    folder = Path(store.location) / "cases"
    (folder / "one/image/zarr.json").write_bytes((folder / "two/image/zarr.json").read_bytes())
    fresh = open_store(f"{scheme}{store.location}")
    with pytest.raises(StoreError, match="does not have the shape"):
        fresh.read_case("one")
