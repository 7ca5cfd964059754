"""A store on a real S3 server: whole or not at all, whatever the server does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest

from mriseg import api
from mriseg.core.task import Task
from mriseg.core.volume import SliceRef
from mriseg.errors import InputError, MrisegError, OutputError, StoreError
from mriseg.io.store import Store, create, open_store
from mriseg.io.store.objects import ObjectTree
from mriseg.io.store.trees import tree_at
from mriseg.testing import phantoms
from tests import s3
from tests.stores import REGIONS, SPEC, a_case, append

pytest.importorskip("obstore")
pytest.importorskip("moto")


@pytest.fixture(scope="module")
def running() -> Iterator[s3.Server]:
    with s3.serving() as server:
        yield server


@pytest.fixture
def server(running: s3.Server) -> s3.Server:
    running.now()
    return running


@pytest.fixture
def url(server: s3.Server, request: pytest.FixtureRequest) -> str:
    """Where nothing lies yet."""
    return f"{server.url}/{abs(hash(request.node.name))}.zarr"


TASK = Task(("T1", "FLAIR"), REGIONS, (64, 64))
REFS = [SliceRef("one", 3), SliceRef("two", 1), SliceRef("one", 5)]


def filled(location: str | Path) -> Store:
    store = create(location, SPEC)
    append(store, "one", a_case(1))
    append(store, "two", a_case(2, ("T1",)))
    store.update_index()
    return open_store(location)


def test_files_and_folders(url: str) -> None:
    tree = tree_at(url)
    assert isinstance(tree, ObjectTree) and tree.is_empty() and tree.is_far
    tree.write("a/x", b"xx")
    tree.write("a/b/y", b"y")
    assert not tree.is_empty()
    assert tree.folders("") == ["a"] and tree.folders("a") == ["b"] and tree.folders("none") == []
    assert tree.names("a") == ["x"] and tree.files("a") == ["b/y", "x"]
    assert tree.sizes("a") == {"b/y": 1, "x": 2}
    assert tree.read("a/x") == b"xx" and tree.read_each(["a/b/y", "a/z"]) == [b"y", None]
    assert tree.size("a/x") == 2 and tree.size("a/z") is None and tree.is_there("a/x")
    assert not tree.create("a/x", b"other") and tree.read("a/x") == b"xx"
    assert tree.create("a/z", b"z") and tree.create("a/z", b"z"), "an answer may have been lost"
    tree.remove("a/x")
    with pytest.raises(FileNotFoundError, match=f"{url}/a/x does not exist"):
        tree.read("a/x")


def test_a_store_there_is_the_one_here(url: str, tmp_path: Path) -> None:
    near, far = filled(tmp_path / "x.zarr"), filled(url)
    assert dict(near.cases()) == dict(far.cases())
    assert np.array_equal(near.read_case("one").image, far.read_case("one").image)
    for part in ("image", "target"):
        batches = [getattr(store.read(REFS, TASK), part) for store in (near, far)]
        assert np.array_equal(*batches)
    files = {
        str(path.relative_to(near.location)): path.read_bytes()
        for path in Path(near.location).rglob("*")
        if path.is_file()
    }
    tree = tree_at(url)
    assert {name: tree.read(name) for name in tree.files("")} == files, "byte for byte"


def test_few_requests_open_it_and_write_a_case(server: s3.Server, url: str) -> None:
    store = filled(url)
    asked = server.now().requests
    append(store, "three", a_case(3))
    assert asked["PUT"] == 5 and asked.total() <= 14
    asked = server.now().requests
    open_store(url).update_index()
    asked = server.now().requests
    assert len(open_store(url).index().cases) == 3
    assert asked["LIST"] == 2 and asked.total() <= 5


FAULTS: list[dict[str, Any]] = [
    {"slow_down": 0.3},
    {"broken": 0.3},
    {"reset": 0.3},
    {"cut": 0.5},
    {"stale": 4},
    {"vanished": {"image/c/0": 2}},
    {"vanished": {"one/zarr.json": 1}},
]


@pytest.mark.parametrize("faults", FAULTS, ids=str)
def test_what_goes_wrong_for_a_while_changes_nothing(
    server: s3.Server, url: str, tmp_path: Path, faults: dict[str, Any]
) -> None:
    near = filled(tmp_path / "x.zarr")
    filled(url)
    server.now(**faults)
    far = open_store(url)
    assert dict(far.cases()) == dict(near.cases())
    batches = [store.read(REFS, TASK).image for store in (near, far)]
    assert np.array_equal(*batches)
    append(far, "three", a_case(3))
    server.now()
    assert sorted(open_store(url)) == ["one", "three", "two"]


def test_what_stays_wrong_names_the_key(server: s3.Server, url: str) -> None:
    filled(url)
    far = open_store(url)
    far.cases()
    server.now(vanished={"one/image/c/": 1000})
    with pytest.raises(StoreError, match="case one cannot be read .*one/image/c/0/0/0/0"):
        far.read([SliceRef("one", 3)], TASK)
    server.now()
    assert far.read([SliceRef("one", 3)], TASK).image.any()


def test_a_list_that_lags_loses_no_case(server: s3.Server, url: str) -> None:
    store = create(url, SPEC)
    append(store, "one", a_case(1))
    store.update_index()
    tree_at(url).folders("cases")
    append(store, "two", a_case(2))
    store.update_index()
    server.now(stale=1)
    tree_at(url).folders("index")  # a list as it was before is shown from here on
    far = open_store(url)
    server.faults.stale = 0
    far.cases()
    far._tree.folders = lambda name: ["one"]  # type: ignore[method-assign]
    assert sorted(far.cases()) == ["one", "two"], "the index knows of the other"
    far._tree.folders = lambda name: []  # type: ignore[method-assign]
    assert sorted(far.cases()) == ["one", "two"]


@pytest.mark.parametrize("step", range(5))
def test_a_case_that_was_not_written_to_its_end_does_not_exist(
    server: s3.Server, url: str, step: int
) -> None:
    store = filled(url)
    write, left = ObjectTree.write, [step]

    def dying(tree: ObjectTree, name: str, data: bytes) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        write(tree, name, data)

    with mock.patch.object(ObjectTree, "write", dying), pytest.raises(KeyboardInterrupt):
        append(store, "new", a_case(4))
    assert sorted(open_store(url)) == ["one", "two"]
    with mock.patch.object(ObjectTree, "write", dying), pytest.raises(KeyboardInterrupt):
        left[0] = step
        append(store, "one", a_case(4))
    later = open_store(url)
    assert sorted(later) in (["two"], ["one", "two"])
    if "one" in later.cases():
        assert np.array_equal(later.read_case("one").image, np.asarray(a_case(1).image, np.float16))


def test_what_the_server_lost_is_not_said_to_be_written(server: s3.Server, url: str) -> None:
    store = filled(url)
    server.now(vanished={"image/c/": 1000})
    with pytest.raises(OutputError, match="image/c/0/0/0/0 does not exist"):
        append(store, "new", a_case(3))
    server.now()
    assert sorted(open_store(url)) == ["one", "two"]


@pytest.mark.parametrize(
    ("change", "faults", "url", "says"),
    [
        ({}, {}, "s3://nobucket/x.zarr", "there is no bucket 'nobucket' at http"),
        ({}, {"status": 403}, "s3://scans/x.zarr", "refuses it .AccessDenied.*give others"),
        ({}, {"status": 503}, "s3://scans/x.zarr", "answers 503 SlowDown.*try it later"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, {}, "s3://scans/x.zarr", "cannot be reached"),
        ({"AWS_ACCESS_KEY_ID": ""}, {}, "s3://scans/x.zarr", "no credentials for s3:// are known"),
        ({}, {}, "s3:///x.zarr", "names no bucket"),
    ],
)
def test_each_mistake_is_one_message_in_seconds(
    server: s3.Server,
    tmp_path: Path,
    change: dict[str, str],
    faults: dict[str, Any],
    url: str,
    says: str,
) -> None:
    phantoms.write_brats(tmp_path, 1, shape=(8, 40, 36))
    server.now(**faults)
    began = time.monotonic()
    calls: list[tuple[Callable[[], object], type[MrisegError]]] = [
        (lambda: api.preprocess(tmp_path, url, workers=1), OutputError),
        (lambda: open_store(url), InputError),
    ]
    with mock.patch.dict(os.environ, change):
        for name in [name for name, value in change.items() if not value]:
            del os.environ[name]
        for call, error in calls:
            with pytest.raises(error, match=says) as caught:
                call()
            assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 30


def test_without_the_libraries_one_message_names_the_extra(url: str) -> None:
    from mriseg.io.store import clients

    clients._client.cache_clear()
    with (
        mock.patch.dict("sys.modules", {"obstore.store": None}),
        pytest.raises(StoreError, match=r"pip install 'mriseg\[cloud\]'"),
    ):
        open_store(url)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_campaign_of_faults_leaves_the_store_that_was_asked_for(
    server: s3.Server, url: str, tmp_path: Path, seed: int
) -> None:
    phantoms.write_brats(tmp_path / "scans", 4, shape=(8, 40, 36))
    api.preprocess(tmp_path / "scans", tmp_path / "x.zarr", workers=1)
    server.now(slow_down=0.1, broken=0.1, reset=0.1, cut=0.1, stale=3, seed=seed)
    for _ in range(20):
        try:
            report = api.preprocess(tmp_path / "scans", url, workers=2)
        except MrisegError as error:
            assert "\n" not in str(error)
            continue
        assert {case.status for case in report.cases} <= {"written", "kept"}
        break
    server.now()
    assert not api.verify(url, sources=tmp_path / "scans").faults
    assert dict(open_store(url).cases()) == dict(open_store(tmp_path / "x.zarr").cases())
