"""Advice to remove a case's folder is given only where a checksum failed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mriseg.errors import StoreError
from mriseg.io import store as stores
from mriseg.io.store import CASES, Store, key_of
from tests.stores import SPEC, a_case, append

SHARD = "image/c/0/0/0/0"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = stores.create(tmp_path / "x.zarr", SPEC)
    append(store, "one", a_case())
    store.cases()
    return store


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize(
    ("spoil", "advice", "removes"),
    [
        (flip, "by their checksums: remove the folder", True),
        (cut, "incomplete: start the same mriseg preprocess again, which writes the case", False),
        (Path.unlink, "missing or incomplete: start the same mriseg preprocess again", False),
    ],
)
def test_what_a_case_needs_that_cannot_be_read(
    store: Store, spoil: Callable[[Path], None], advice: str, removes: bool
) -> None:
    folder = Path(store.location, CASES, key_of("one"))
    spoil(folder / SHARD)
    with pytest.raises(StoreError, match=advice) as caught:
        store.read_case("one")
    assert ("remove" in str(caught.value)) is removes


def test_what_cannot_be_opened_is_not_taken_for_damaged(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("Invalid file path")

    monkeypatch.setattr("mriseg.io.store.case_arrays.open_array", refuse)
    with pytest.raises(StoreError, match="Invalid file path.*as they were written") as caught:
        store.read_case("one")
    assert "remove" not in str(caught.value) and "preprocess" not in str(caught.value)


def test_a_store_that_went_away_is_not_taken_for_damaged(store: Store) -> None:
    shutil.rmtree(store.location)
    with pytest.raises(StoreError, match="could not be looked at either") as caught:
        store.read_case("one")
    assert "remove" not in str(caught.value)
