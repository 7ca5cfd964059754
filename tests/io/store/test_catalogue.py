"""The cases of a store as a mapping, whose attributes are made when they are asked for."""

from __future__ import annotations

import pytest

from mriseg.errors import StoreError
from mriseg.io.store import Store
from mriseg.io.store.catalogue import Catalogue
from mriseg.io.store.index import Row
from mriseg.io.store.segments import packed
from tests.stores import REGIONS, a_case, append


def test_it_is_a_mapping_by_name(store: Store) -> None:
    append(store, "b", a_case(1))
    append(store, "a/x", a_case(2))
    for cases in (store.cases(), (store.update_index(), store.cases())[1]):
        assert isinstance(cases, Catalogue)
        assert list(cases) == ["a/x", "b"] and len(cases) == 2 and "b" in cases and 3 not in cases
        assert cases["b"].content == "cb" and cases.folder("a/x") == "a%2Fx"
        assert cases.get("c") is None and "2 cases" in repr(cases)
        assert cases.volume_index(REGIONS)["b"].patient == "b"
        with pytest.raises(KeyError):
            cases["c"]


def test_a_row_of_another_stores_case_is_damage(store: Store) -> None:
    append(store, "a", a_case(1))
    case = store.cases()["a"]
    cases = Catalogue("x.zarr", 3, {"a": Row(packed([("a", "d", case)], 2), 0)})
    with pytest.raises(StoreError, match="cases/a is damaged .*3 regions.*remove the folder"):
        cases["a"]
