"""A store shows its cases: in words, as a table, and by its length and names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mriseg.core.regions import region_masks
from mriseg.errors import StoreError
from mriseg.io.store import Store, create
from mriseg.io.store.listing import store_overview, stored_case
from tests.stores import REGIONS, SPEC, a_case, append


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = create(str(tmp_path / "x.zarr"), SPEC)
    append(store, "b", a_case(1), patient="p")
    append(store, "a", a_case(2, labelled=False), patient="p")
    return store


def test_a_store_in_words(store: Store) -> None:
    assert repr(store) == f"<Store {store.location}>"
    assert store.overview().title == f"store {store.location}: 2 cases of 1 patient, 1 labelled"
    text = str(store)
    assert "WT (labels 1+2+3+4)" in text and "10, 40, 36" in text
    assert "<td" in store._repr_html_()


def test_a_store_as_a_table(store: Store) -> None:
    frame = store.to_pandas().set_index("case")
    case = store["b"]
    assert case.labels is not None
    voxels = region_masks(case.labels, REGIONS).sum(axis=(1, 2, 3))
    assert list(frame.loc["b", ["voxels_WT", "voxels_ET"]]) == list(voxels)
    assert np.isnan(frame.loc["a", "voxels_WT"]) and not frame.loc["a", "labelled"]


def test_a_store_has_a_length_names_and_cases(store: Store, tmp_path: Path) -> None:
    assert len(store) == 2 and list(store) == ["a", "b"] and "b" in store and "c" not in store
    assert store["b"].modalities == ("T1", "FLAIR") and store["a"].labels is None
    with pytest.raises(StoreError, match="holds no case 'c'"):
        store["c"]
    empty = create(str(tmp_path / "empty.zarr"), SPEC)
    # It is a store, and no call may take it for none.
    assert len(empty) == 0 and empty
    assert "0 cases of 0 patients" in str(empty)


def test_a_store_that_is_gone_says_so_and_raises_nothing(store: Store) -> None:
    (Path(store.location) / "zarr.json").unlink()
    for path in Path(store.location).rglob("zarr.json"):
        path.write_text("{")
    assert store.location in repr(store)
    assert "cannot be read" in str(store) and "cannot be read" in store._repr_html_()


def test_volumes_have_their_unit(store: Store) -> None:
    listed = [stored_case(case, tuple(REGIONS)) for case in store.cases().values()]
    headings = [c.heading for c in store_overview("x", "brats", REGIONS, listed).columns]
    assert "WT (mL)" in headings
    assert store_overview("s3://bucket/x.zarr", "brats", REGIONS, listed).page is None
