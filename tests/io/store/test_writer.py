"""A case is complete or absent, and lies as the format says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from mriseg.core.regions import region_masks
from mriseg.errors import OutputError, StoreError
from mriseg.io.store import Store, create, open_store
from mriseg.io.store.writer import counts
from tests.stores import REGIONS, SPEC, a_case, append


def test_a_chunk_is_a_slice_and_a_shard_a_case(store: Store) -> None:
    case = a_case()
    append(store, "one", case)
    group = zarr.open_group(store.location, mode="r")
    image: Any = group["cases/one/image"]
    label: Any = group["cases/one/label"]
    slices, height, width = case.box.shape
    assert image.shape == (slices, 2, height, width) and image.dtype == np.float16
    assert image.chunks == (1, 2, height, width) and image.shards == image.shape
    assert label.chunks == (1, height, width) and label.shards == label.shape
    assert image.metadata.dimension_names == ("z", "modality", "y", "x")
    assert label.metadata.dimension_names == ("z", "y", "x")
    assert image.metadata.zarr_format == 3
    files = [p for p in (Path(store.location) / "cases").rglob("*") if p.is_file()]
    # Two arrays of one shard and one zarr.json each, the case's own and that of "cases".
    assert len(files) == 6


def test_a_half_written_case_is_absent(store: Store) -> None:
    append(store, "whole", a_case(1))
    append(store, "half", a_case(2))
    path = Path(store.location) / "cases" / "half" / "zarr.json"
    metadata = json.loads(path.read_text())
    metadata["attributes"] = {}
    path.write_text(json.dumps(metadata))
    reopened = open_store(store.location)
    assert list(reopened.cases()) == ["whole"]
    with pytest.raises(StoreError, match="holds no case 'half'"):
        reopened.read_case("half")
    append(reopened, "half", a_case(3))
    assert list(reopened.cases()) == ["half", "whole"]


def test_a_case_of_the_same_name_is_replaced(store: Store) -> None:
    append(store, "one", a_case(1))
    before = store.read_case("one")
    append(store, "one", a_case(2, ("T2",), labelled=False))
    replaced = store.read_case("one")
    assert replaced.modalities == ("T2",) and replaced.labels is None
    assert before.modalities == ("T1", "FLAIR")
    assert not (Path(store.location) / "cases" / "one" / "label").exists()


def test_a_store_that_went_away_is_reported(store: Store) -> None:
    shutil.rmtree(store.location)
    Path(store.location).write_text("a file now")
    with pytest.raises((OutputError, StoreError), match=r"out\.zarr"):
        append(store, "one", a_case())


@pytest.mark.parametrize("parents", [False, True], ids=["alone", "and zarr makes its parents"])
def test_a_store_that_goes_away_is_not_recreated(store: Store, parents: bool) -> None:
    root = Path(store.location)
    away = root.rename(root.with_name("away"))
    if parents:  # as zarr does if the folder vanishes before a group is created
        zarr.create_group(root)
        zarr.create_group(root / "cases")
    with pytest.raises(OutputError, match="cannot be written"):
        append(store, "a", a_case(1))
    assert not root.exists() and away.exists()


def test_a_store_at_a_url_is_written_too() -> None:
    store = create("memory://mriseg-test/out.zarr", SPEC)
    append(store, "one", a_case())
    append(store, "one", a_case(1))
    assert np.array_equal(store.read_case("one").image, a_case(1).image)


def test_voxels_of_each_region_are_counted_by_slice() -> None:
    case = a_case()
    assert case.labels is not None
    expected = region_masks(case.labels, REGIONS).sum(axis=(2, 3)).T
    assert np.array_equal(counts(case, REGIONS), expected) and expected.any()
    without = counts(a_case(labelled=False), REGIONS)
    assert without.shape == expected.shape and not without.any()


def test_what_a_killed_process_left_is_swept(store: Store) -> None:
    append(store, "one", a_case())
    cases = Path(store.location) / "cases"
    begun = cases / "begun"
    begun.mkdir()
    (begun / "zarr.json").write_text('{"attributes": {}, "zarr_format": 3, "node_type": "group"}')
    piece = cases / "one" / f"zarr.json.{'0' * 32}.partial"
    piece.write_text("{")
    (cases / "one" / "mine.partial").write_text("not zarr's")
    store.sweep()
    assert not begun.exists() and not piece.exists() and (cases / "one/mine.partial").exists()
    assert list(open_store(store.location).cases()) == ["one"]
