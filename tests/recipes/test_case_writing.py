"""A case is written, or its report says why not."""

from __future__ import annotations

from pathlib import Path

from mriseg.events import completed
from mriseg.io import readers
from mriseg.io import store as stores
from mriseg.io.readers import ReaderOptions
from mriseg.recipes.case_writing import kept, write_case
from mriseg.testing import phantoms
from tests.stores import SPEC


def test_a_case_is_written_once_refused_from_another_scan_and_skipped_if_damaged(
    tmp_path: Path,
) -> None:
    for name, seed in (("one", 0), ("two", 1)):
        phantoms.write_brats(tmp_path / name, 1, shape=(8, 40, 36), seed=seed)
    store = stores.create(tmp_path / "out.zarr", SPEC)
    first, other = (
        readers.find(tmp_path / name, "brats", ReaderOptions())[1].cases[0]
        for name in ("one", "two")
    )
    written = completed(write_case(store, first))
    assert written.status == "written" and written.labelled and written.voxels["WT"] > 0
    assert completed(write_case(store, other)).status == "refused"
    assert completed(write_case(store, other, overwrite=True)).status == "written"
    stored = store.stored(first.name)
    assert stored is not None and stored.head == "stripped"
    again = kept(stored, SPEC.regions)
    assert again.status == "kept" and set(again.voxels) == {"WT", "ET"}
    other.files[0].write_bytes(b"no scan")
    skipped = completed(write_case(store, other))
    assert skipped.status == "skipped" and other.files[0].name in skipped.reason
