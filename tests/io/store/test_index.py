"""The index says what the cases say, whatever was done to the store, and in whichever order."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mriseg.core.intensity import Normalisation
from mriseg.core.prepare import PreparedCase
from mriseg.core.volume import Box
from mriseg.errors import StoreError
from mriseg.io.location import Location
from mriseg.io.store import Store, StoreSpec, create, documents, key_of, open_store, writer
from mriseg.io.store.attributes import case_in
from mriseg.io.store.index import INDEX, read_index
from mriseg.io.store.segments import same_entry
from mriseg.io.store.storage import Tree
from tests.strategies import ORIENTATIONS

SHAPE = (2, 3, 4)
SPEC = StoreSpec({"WT": (1, 2)})
NAMES = ("a", "d/e")


class Crash(BaseException):
    """The process ends here."""


def tiny(seed: int) -> PreparedCase:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, SHAPE).astype(np.uint8)
    return PreparedCase(
        image=rng.normal(size=(1, *SHAPE)).astype(np.float16),
        modalities=("T1",),
        labels=labels,
        geometry=ORIENTATIONS[0].geometry(SHAPE[::-1]),
        box=Box((0, 0, 0), SHAPE),
        normalisation=Normalisation((0.0,), (1.0,)),
    )


def append(store: Store, name: str, seed: int) -> None:
    store.append(name, tiny(seed), patient=f"p{seed}", content=f"c{seed}")


def check(path: Path) -> Store:
    """Compare what a store says, opened anew, with the attributes of its cases."""
    said = [case_in(text, 1) for _, text in documents(str(path))]
    cases = {case.name: case for case in said if case is not None}
    store = open_store(path)
    assert dict(store.cases()) == dict(sorted(cases.items()))
    index = store.index()
    assert [entry.name for entry in index.cases] == sorted(cases)
    assert all(same_entry(entry, cases[entry.name]) for entry in index.cases)
    return store


def listed(path: Path) -> dict[str, int]:
    """How many cases each segment lists, by file name."""
    index = read_index(Tree(str(path)))
    assert not index.damaged
    return {name: len(segment) for name, segment in index.segments.items()}


@contextmanager
def crashing(step: int) -> Iterator[None]:
    """The process ends before the numbered step that changes a file."""
    left = [step]

    def counted(do: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **more: Any) -> Any:
            if not left[0]:
                raise Crash
            left[0] -= 1
            return do(*arguments, **more)

        return run

    steps = ((Tree, "write"), (Tree, "remove"), (writer, "_write_array"), (writer, "_files_of"))
    with mock.patch.multiple(Tree, write=counted(Tree.write), remove=counted(Tree.remove)):
        of_writer = {name: counted(getattr(writer, name)) for owner, name in steps[2:]}
        with mock.patch.multiple(writer, **of_writer), suppress(Crash):
            yield


names = st.sampled_from(NAMES)
seeds = st.integers(0, 3)
actions = st.one_of(
    st.tuples(st.just("append"), names, seeds, st.integers(0, 9)),
    st.tuples(st.just("update"), st.integers(0, 6)),
    st.tuples(st.just("remove"), names),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("damage"), st.integers(0, 3)),
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(actions, min_size=3, max_size=12))
def test_whatever_happens_the_index_says_what_the_cases_say(
    tmp_path: Path, todo: list[tuple[Any, ...]]
) -> None:
    path = tmp_path / "x.zarr"
    shutil.rmtree(path, ignore_errors=True)
    create(path, SPEC)
    for action, *how in todo:
        store = open_store(path)
        if action == "append":
            with crashing(how[2]):
                append(store, how[0], how[1])
        elif action == "update":
            with crashing(how[0]):
                store.update_index()
        elif action == "remove":
            shutil.rmtree(path / "cases" / key_of(how[0]), ignore_errors=True)
        elif action == "sweep":
            store.sweep()
        else:
            for segment in sorted((path / INDEX).glob("*"))[how[0] :][:1]:
                if segment.is_file():
                    segment.write_bytes(segment.read_bytes()[:-1])
        check(path)
    store = check(path)
    store.update_index()
    rows = read_index(Tree(str(path))).rows()
    assert {*map(key_of, store.cases())} <= {*rows}
    check(path)


def test_a_case_that_is_replaced_while_its_row_is_written_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    store = create(path, SPEC)
    append(store, "a", 1)
    other = open_store(path)
    write = Tree.write

    def late(tree: Tree, name: str, data: bytes) -> None:
        with mock.patch.object(Tree, "write", write):
            append(other, "a", 2)
        write(tree, name, data)

    with mock.patch.object(Tree, "write", late):
        store.update_index()
    assert check(path).index()["a"].content == "c2"
    open_store(path).update_index()
    assert sorted(listed(path).values()) == [1] and check(path).index()["a"].content == "c2"


def test_a_case_costs_few_rows_and_segments_stay_few(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    store = create(path, SPEC)
    written = 0
    for number in range(24):
        append(store, f"case{number:02}", number)
        before = listed(path)
        store.update_index()
        now = listed(path)
        written += sum(count for name, count in now.items() if name not in before)
        assert sum(now.values()) == number + 1 and len(now) <= 5
    assert written <= 24 * 5
    big = max(listed(path), key=listed(path).__getitem__)
    append(store, "more", 99)
    store.update_index()
    assert big in listed(path), "the large segment stays as it is"
    before = sorted(path.glob("index/*"))
    store.update_index()
    assert sorted(path.glob("index/*")) == before, "there is nothing to do"


def test_a_case_that_was_removed_and_written_again_is_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    store = create(path, SPEC)
    for number in range(3):
        append(store, f"case{number}", number)
    store.update_index()
    shutil.rmtree(path / "cases" / "case1")
    assert list(check(path).cases()) == ["case0", "case2"]
    append(open_store(path), "case1", 7)
    assert check(path).cases()["case1"].content == "c7"


def test_equal_stores_have_equal_indices(tmp_path: Path) -> None:
    for name in ("x.zarr", "y.zarr"):
        store = create(tmp_path / name, SPEC)
        for number in range(3):
            append(store, f"case{number}", number)
        store.update_index()
    files = [
        path.relative_to(tmp_path / "x.zarr") for path in (tmp_path / "x.zarr").glob("index/*")
    ]
    assert len(files) == 1
    for file in files:
        same = [(tmp_path / name / file).read_bytes() for name in ("x.zarr", "y.zarr")]
        assert same[0] == same[1]


def test_a_store_of_version_1_is_read_and_gets_no_index(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    with mock.patch.object(writer, "FORMAT_VERSION", 1):
        writer.write_root(Location.of(path), SPEC)
    store = open_store(path)
    assert store.version == 1
    append(store, "a", 1)
    store.update_index()
    assert not (path / INDEX).exists() and list(open_store(path)) == ["a"]


def test_a_store_that_is_gone_is_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    store = create(path, SPEC)
    append(store, "a", 1)
    shutil.rmtree(path)
    store.update_index()
    assert not path.exists()
    with pytest.raises(StoreError):
        open_store(path)
