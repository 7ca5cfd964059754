"""A store is created in an empty place, continued where one exists, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import pytest
import zarr
from fsspec.implementations.memory import MemoryFileSystem  # type: ignore[import-untyped]
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mriseg.errors import ConfigError, OutputError, StoreError
from mriseg.io.store import FORMAT_VERSION, Store, StoreSpec, create, open_store
from tests.stores import SPEC, a_case, append, rewrite


def test_a_store_is_continued_only_with_the_same_settings(store: Store) -> None:
    append(store, "one", a_case())
    assert list(create(store.location, SPEC).cases()) == ["one"]
    with pytest.raises(OutputError, match=r"made for other regions.*WT=1\+2\+3\+4.*ET=4.*ET=3"):
        create(store.location, StoreSpec({"ET": (3,)}, SPEC.labels, "brats"))
    # Scans of another layout may join if their labels mean the same.
    joined = create(store.location, StoreSpec(SPEC.regions, {1: "tumour"}, "lgg"))
    assert joined.spec == SPEC and list(joined.cases()) == ["one"]


def test_a_store_may_be_made_in_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "x.zarr").mkdir()
    assert create(tmp_path / "x.zarr", SPEC).cases() == {}
    assert create(tmp_path / "deep" / "y.zarr", SPEC).name == "y"


def test_what_is_not_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        open_store(tmp_path / "nothing.zarr")
    (tmp_path / "file.zarr").write_text("x")
    (tmp_path / "empty.zarr").mkdir()
    (tmp_path / "other.zarr").mkdir()
    (tmp_path / "other.zarr" / "zarr.json").write_text("{]")
    (tmp_path / "list.zarr").mkdir()
    (tmp_path / "list.zarr" / "zarr.json").write_text("[1]")
    zarr.create_group(tmp_path / "theirs.zarr", attributes={"mriseg": 3})
    zarr.create_array(tmp_path / "array.zarr", shape=(2,), dtype="u1")
    for path in tmp_path.iterdir():
        with pytest.raises(StoreError, match="is not an mriseg store"):
            open_store(path)
        if path.name != "empty.zarr":
            with pytest.raises(OutputError, match="Choose another name"):
                create(path, SPEC)


def test_another_version_is_refused(store: Store) -> None:
    rewrite(Path(store.location, "zarr.json"), lambda said: said.update(version=FORMAT_VERSION + 1))
    with pytest.raises(StoreError, match=rf"format {FORMAT_VERSION + 1}.*reads {FORMAT_VERSION}"):
        open_store(store.location)


@pytest.mark.parametrize(
    "changes",
    [
        {"regions": 3},
        {"regions": [["a"]]},
        {"regions": [["a", []]]},
        {"regions": [["a", [256]]]},
        {"labels": {"x": "y"}},
        {"layout": None},
    ],
)
def test_damaged_settings_are_reported(store: Store, changes: dict[str, Any]) -> None:
    rewrite(Path(store.location, "zarr.json"), lambda said: said.update(changes))
    with pytest.raises(StoreError, match=r"zarr\.json is damaged \("):
        open_store(store.location)


@pytest.mark.parametrize("change", [lambda said: said.pop("digest"), lambda said: said.update(x=1)])
def test_a_root_that_is_not_as_written_is_damaged(
    store: Store, change: Callable[[dict[str, Any]], object]
) -> None:
    rewrite(Path(store.location, "zarr.json"), change, sealed=False)
    with pytest.raises(StoreError, match=r"zarr\.json is damaged: it is not what was written"):
        open_store(store.location)


@pytest.mark.parametrize("scheme", ["s3", "gs", "mriseg-nothing", "https"])
def test_a_url_that_nothing_opens_ends_in_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """Without the library of the scheme, or without a server at the address."""
    monkeypatch.chdir(tmp_path)
    url = f"{scheme}://localhost:1/x.zarr"
    with pytest.raises(OutputError, match=f"^{url} cannot be written: .+"):
        create(url, SPEC)
    with pytest.raises(StoreError, match=f"^{url} cannot be read: .+"):
        open_store(url)
    assert not list(tmp_path.iterdir())


class Forbidden(MemoryFileSystem):  # type: ignore[misc]
    """A scheme whose library raises errors of its own, as botocore does without credentials."""

    protocol = "mriseg-forbidden"

    class NoCredentialsError(Exception):
        pass

    def _refuse(self, *args: Any, **kwargs: Any) -> Any:
        raise self.NoCredentialsError("Unable to locate credentials\nand more")

    ls = cat_file = info = pipe_file = _open = _refuse


def test_what_a_schemes_library_raises_is_one_message() -> None:
    fsspec.register_implementation(Forbidden.protocol, Forbidden, clobber=True)
    url = f"{Forbidden.protocol}://bucket/x.zarr"
    with pytest.raises(
        OutputError, match=f"^{url} cannot be written: Unable to locate credentials$"
    ):
        create(url, SPEC)
    with pytest.raises(StoreError, match=f"^{url} cannot be read: Unable to locate credentials$"):
        open_store(url)


def test_a_store_at_a_url_is_continued() -> None:
    url = "memory://mriseg-opening/out.zarr"
    append(create(url, SPEC), "one", a_case())
    again = create(url, SPEC)
    assert list(again.cases()) == ["one"] and again.location == url and again.name == "out"
    with pytest.raises(OutputError, match="made for other regions"):
        create(url, StoreSpec({"ET": (3,)}, {}, "brats"))


def test_what_else_lies_at_a_url_is_left_alone() -> None:
    MemoryFileSystem().pipe_file("/mriseg-taken/x.txt", b"theirs")
    with pytest.raises(OutputError, match="is not an mriseg store.*Choose another name"):
        create("memory://mriseg-taken", SPEC)


def test_a_file_url_is_the_folder_that_it_names(tmp_path: Path) -> None:
    folder = tmp_path / "a b.zarr"
    append(create(folder.as_uri(), SPEC), "one", a_case())
    assert open_store(folder.as_uri()).location == str(folder)
    assert list(open_store(folder).cases()) == ["one"]


@given(st.from_regex(r"[a-z][a-z0-9+.\-]{1,8}", fullmatch=True))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_url_made_a_path_is_refused(tmp_path: Path, scheme: str) -> None:
    before = sorted(tmp_path.iterdir())
    for make in (lambda path: create(path, SPEC), open_store):
        with pytest.raises(ConfigError, match="lost a slash"):
            make(Path(f"{scheme}://bucket/x.zarr"))
    assert sorted(tmp_path.iterdir()) == before
