"""The store: what is written is read, and what cannot be read is reported with its case."""

from __future__ import annotations

import dataclasses
import math
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mriseg.core.prepare import content_digest
from mriseg.core.regions import region_masks
from mriseg.core.task import Task
from mriseg.core.volume import Pad, SliceRef
from mriseg.errors import StoreError
from mriseg.io.store import CaseAttributes, Source, Store, frame_for, open_store
from mriseg.io.store.case_arrays import _OPEN_ARRAYS
from tests.stores import REGIONS, SPEC, a_case, append, rewrite


def test_what_is_appended_is_read(store: Store) -> None:
    case = a_case()
    source = Source("x.nii", size=3, modified=4, sha256="5")
    append(store, "one", case, sources=[source], notices=["unusual"])
    read = open_store(store.location).read_case("one")
    assert read.image.dtype == np.float16
    # float16 has 11 significant bits.
    np.testing.assert_allclose(read.image, case.image, rtol=2**-11, atol=2**-24)
    assert read.labels is not None and case.labels is not None
    assert np.array_equal(read.labels, case.labels) and read.labels.dtype == np.uint8
    for part in ("modalities", "geometry", "box", "normalisation"):
        assert getattr(read, part) == getattr(case, part)
    attributes = open_store(store.location).cases()["one"]
    assert isinstance(attributes, CaseAttributes)
    assert attributes.sources == (source,) and attributes.notices == ("unusual",)


def test_a_case_without_labels(store: Store) -> None:
    append(store, "one", a_case(labelled=False))
    assert store.read_case("one").labels is None
    batch = store.read([SliceRef("one", 3)], Task(("T1",), REGIONS, (64, 64)))
    assert batch.image.any() and not batch.target.any()
    (entry,) = store.index().cases
    assert not entry.labelled and not entry.foreground.any()


def test_slices_are_read_centred_and_in_the_order_asked(store: Store) -> None:
    cases = {"one": a_case(1), "two": a_case(2, ("FLAIR", "T1"))}
    for name, case in cases.items():
        append(store, name, case)
    refs = [SliceRef("two", 4), SliceRef("one", 0), SliceRef("two", 5), SliceRef("two", 4)]
    batch = store.read(refs, Task(("FLAIR", "T1"), {"ET": (4,)}, (64, 32)))
    assert batch.image.shape == (4, 2, 64, 32) and batch.image.dtype == np.float32
    assert batch.target.shape == (4, 1, 64, 32) and batch.target.dtype == np.uint8
    for row, ref in enumerate(refs):
        case = cases[ref.case]
        pad = Pad.to(case.box.shape[1:], (64, 32))
        expected = pad.apply(case.channels(("FLAIR", "T1"))[:, ref.slice])
        np.testing.assert_allclose(batch.image[row], expected, rtol=2**-11, atol=2**-24)
        assert case.labels is not None
        truth = region_masks(case.labels[ref.slice], {"ET": (4,)})
        assert np.array_equal(batch.target[row], pad.apply(truth))
    assert np.array_equal(batch.image[0], batch.image[3])


def test_a_missing_modality_reads_zero(store: Store) -> None:
    append(store, "one", a_case(modalities=("T1",)))
    read = [SliceRef("one", 4)]
    batch = store.read(read, Task(("T2", "T1"), REGIONS, (64, 64)))
    assert not batch.image[0, 0].any() and batch.image[0, 1].any()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(st.integers(1, 70), st.integers(1, 70)))
def test_any_frame_fits(store: Store, frame: tuple[int, int]) -> None:
    if not store.cases():
        append(store, "one", a_case())
    batch = store.read([SliceRef("one", 5)], Task(("T1",), REGIONS, frame))
    assert batch.image.shape[2:] == batch.target.shape[2:] == frame


def test_the_index_counts_each_regions_voxels_by_slice(store: Store) -> None:
    cases = {"b": a_case(1), "a": a_case(2, ("T2", "T1"))}
    for name, case in cases.items():
        append(store, name, case, patient="p" + name)
    index = open_store(store.location).index()
    assert [case.name for case in index.cases] == ["a", "b"]
    assert index.modalities == ("T1", "T2", "FLAIR")
    assert index.regions == REGIONS
    for entry in index.cases:
        case = cases[entry.name]
        assert entry.patient == "p" + entry.name and entry.content == "c" + entry.name
        assert entry.shape == case.box.shape and entry.modalities == case.modalities
        assert case.labels is not None
        assert np.array_equal(entry.foreground[:, 0], (case.labels > 0).sum(axis=(1, 2)))
        assert np.array_equal(entry.foreground[:, 1], (case.labels == 4).sum(axis=(1, 2)))


def test_damaged_voxels_are_reported_with_the_case(store: Store) -> None:
    append(store, "one", a_case())
    chunks = (Path(store.location) / "cases/one/image/c").rglob("*")
    (shard,) = (path for path in chunks if path.is_file())
    content = bytearray(shard.read_bytes())
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreError, match="case one cannot be read"):
        open_store(store.location).read_case("one")
    with pytest.raises(StoreError, match="case one cannot be read"):
        open_store(store.location).read([SliceRef("one", 2)], Task(("T1",), REGIONS, (32, 32)))


def test_a_missing_case_is_reported(store: Store) -> None:
    with pytest.raises(StoreError, match="holds no case 'x'"):
        store.geometry("x")


def test_an_open_store_can_be_sent_to_another_process(store: Store) -> None:
    append(store, "one", a_case())
    store.read_case("one")
    copy = pickle.loads(pickle.dumps(store))
    assert copy.spec == SPEC
    assert np.array_equal(copy.read_case("one").image, store.read_case("one").image)


def test_threads_may_read_at_once(store: Store) -> None:
    for seed in range(3):
        append(store, str(seed), a_case(seed))
    fresh = open_store(store.location)
    refs = [[SliceRef(str(n % 3), n % 6)] for n in range(60)]

    def read(one: list[SliceRef]) -> float:
        batch = fresh.read(one, Task(("T1",), REGIONS, (64, 64)))
        return float(batch.image.sum())

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, refs)) == [read(one) for one in refs]


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(1, 300), st.integers(1, 300)),
        min_size=1,
        max_size=4,
    )
)
def test_the_frame_is_the_smallest_that_holds_all(shapes: list[tuple[int, int, int]]) -> None:
    height, width = frame_for(shapes)
    assert height == 32 * math.ceil(max(h for _, h, _ in shapes) / 32)
    assert width == 32 * math.ceil(max(w for _, _, w in shapes) / 32)


def test_content_is_what_was_given(store: Store) -> None:
    image = np.arange(8.0).reshape(2, 2, 2)
    digest = content_digest({"T1": image})
    store.append("one", a_case(), patient="p", content=digest)
    assert store.index()["one"].content == digest


@pytest.mark.parametrize("frame", [(64, 64), (20, 48), (33, 17)])
def test_float16_and_float32_hold_the_same_values(store: Store, frame: tuple[int, int]) -> None:
    append(store, "one", a_case())
    append(store, "two", a_case(2, ("T2",), labelled=False))
    refs = [SliceRef("one", 3), SliceRef("two", 1), SliceRef("one", 4)]
    task = Task(("T1", "T2"), REGIONS, frame)
    whole, half = store.read(refs, task), store.read(refs, task, dtype=np.float16)
    assert whole.image.dtype == np.float32 and half.image.dtype == np.float16
    assert np.array_equal(whole.image, half.image) and np.array_equal(whole.target, half.target)


def test_a_store_at_a_url_reads_the_same(store: Store) -> None:
    append(store, "one", a_case())
    far = open_store(f"local://{store.location}")
    near, other = store.read_case("one"), far.read_case("one")
    assert np.array_equal(near.image, other.image) and near.labels is not None
    assert other.labels is not None and np.array_equal(near.labels, other.labels)
    task = Task(("FLAIR",), REGIONS, (32, 64))
    batches = [one.read([SliceRef("one", 2)], task) for one in (store, far)]
    assert np.array_equal(batches[0].image, batches[1].image)
    assert np.array_equal(batches[0].target, batches[1].target)


@pytest.mark.parametrize("scheme", ["", "local://"])
@pytest.mark.parametrize("kind", ["image", "label"])
def test_a_shard_that_vanishes_while_it_is_read_is_reported(
    store: Store, scheme: str, kind: str
) -> None:
    append(store, "one", a_case())
    read = open_store(f"{scheme}{store.location}")
    read.read_case("one")
    shutil.rmtree(Path(store.location) / "cases/one" / kind / "c")
    for _ in range(2):
        with pytest.raises(StoreError, match="case one cannot be read"):
            read.read_case("one")


def test_an_empty_label_map_by_url_is_not_taken_for_a_missing_one(store: Store) -> None:
    case = a_case()
    assert case.labels is not None
    append(store, "one", dataclasses.replace(case, labels=np.zeros_like(case.labels)))
    labels = open_store(f"local://{store.location}").read_case("one").labels
    assert labels is not None and not labels.any()


def test_a_bounded_number_of_cases_is_open(store: Store) -> None:
    case, handles = (
        a_case(),
        psutil.Process().num_fds if hasattr(psutil.Process, "num_fds") else None,
    )
    names = [f"case{number:03}" for number in range(_OPEN_ARRAYS // 2 + 12)]
    append(store, names[0], case)
    first = Path(store.location) / "cases" / names[0]
    for name in names[1:]:
        shutil.copytree(first, first.with_name(name))
        rewrite(first.with_name(name) / "zarr.json", partial(dict.update, name=name))
    fresh = open_store(store.location)
    task = Task(("T1",), REGIONS, (32, 32))
    expected = fresh.read([SliceRef(names[0], 2)], task)
    before = handles() if handles else 0
    for name in [*names, *names]:
        assert np.array_equal(fresh.read([SliceRef(name, 2)], task).image, expected.image)
    assert fresh._arrays._array.cache_info().currsize == _OPEN_ARRAYS
    assert (handles() if handles else 0) <= before + 4


def test_a_truncated_shard_is_reported_by_url_too(store: Store) -> None:
    append(store, "one", a_case())
    (shard,) = (p for p in (Path(store.location) / "cases/one/image/c").rglob("*") if p.is_file())
    shard.write_bytes(shard.read_bytes()[:-3])
    for location in (store.location, f"local://{store.location}"):
        with pytest.raises(StoreError, match="case one cannot be read"):
            open_store(location).read_case("one")


def test_one_case_is_asked_for_alone(store: Store) -> None:
    assert store.stored("one") is None
    append(store, "one", a_case())
    append(store, "a/b", a_case())
    # Another process's store sees what was written since.
    other = open_store(store.location)
    assert other.stored("one") == other.cases()["one"] and other.stored("a/b") is not None
    append(store, "one", a_case(2))
    assert other.stored("one") == store.cases()["one"]
    document = Path(store.location) / "cases" / "one" / "zarr.json"
    document.write_bytes(document.read_bytes().replace(b'"modalities"', b'"modalitiez"'))
    with pytest.raises(StoreError, match="cannot be read"):
        other.stored("one")
