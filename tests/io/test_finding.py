"""What lies at a location is said without opening it, in one place for all commands."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from mriseg.errors import ConfigError, InputError
from mriseg.io.finding import Kind, only_store, what_is
from mriseg.io.location import Location
from mriseg.io.store import create
from tests.stores import SPEC, a_case, append


def test_what_lies_in_a_folder(tmp_path: Path) -> None:
    create(tmp_path / "a.zarr", SPEC)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "runs" / "one" / "run.json").write_text("{}")
    (tmp_path / "scans" / "cases" / "one").mkdir(parents=True)
    (tmp_path / "scan.nii.gz").write_bytes(b"")
    (tmp_path / "m.torchscript.pt").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "renamed", "w") as archive:
        archive.writestr("x", "y")
    (tmp_path / "notes.txt").write_text("x")
    kinds = {
        "a.zarr": Kind.STORE,
        "run": Kind.RUN,
        "runs": Kind.RUNS,
        "scans": Kind.SCANS,
        "scan.nii.gz": Kind.SCANS,
        "m.torchscript.pt": Kind.EXPORT,
        "renamed": Kind.EXPORT,
        "notes.txt": Kind.SCANS,
        "none": Kind.NOTHING,
    }
    for name, kind in kinds.items():
        path = tmp_path / name
        for given in (path, str(path), path.as_uri(), Location.of(path)):
            assert what_is(given) is kind, name


def test_a_store_that_lost_its_root_is_one(tmp_path: Path) -> None:
    store = create(tmp_path / "a.zarr", SPEC)
    append(store, "one", a_case())
    (tmp_path / "a.zarr" / "zarr.json").unlink()
    assert what_is(store.location) is Kind.STORE


def test_a_url_is_a_store_and_a_models_name_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert what_is("memory://x/y.zarr") is Kind.STORE
    with pytest.raises(ConfigError, match="lost a slash"):
        what_is(Path("memory://x/y.zarr"))
    assert what_is("base") is Kind.RUN
    assert what_is(Path("base")) is what_is(Location.of("base")) is Kind.NOTHING


def test_the_only_store_is_found(tmp_path: Path) -> None:
    (tmp_path / "notes.zarr").write_text("a file is no store")
    with pytest.raises(InputError, match="mriseg preprocess SRC"):
        only_store(tmp_path)
    (tmp_path / "a.zarr").mkdir()
    assert only_store(tmp_path) == tmp_path / "a.zarr"
    (tmp_path / "b.zarr").mkdir()
    with pytest.raises(InputError, match=r"there are 2 in this folder: a\.zarr, b\.zarr"):
        only_store(tmp_path)
