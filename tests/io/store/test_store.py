"""The store: what is written is read, what is half-written is not there, the rest is told."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mriseg.core.prepare import PreparedCase, content_digest, prepare
from mriseg.core.regions import region_masks
from mriseg.core.volume import Pad, SliceRef
from mriseg.errors import OutputError, StoreError
from mriseg.io.store import (
    FORMAT_VERSION,
    Store,
    StoreSpec,
    create,
    frame_for,
    open_store,
)
from mriseg.io.store.store import _OPEN_ARRAYS
from tests import phantoms
from tests.strategies import ORIENTATIONS

REGIONS = {"WT": (1, 2, 3, 4), "ET": (4,)}
SPEC = StoreSpec(REGIONS, {1: "necrosis", 4: "enhancing"}, "brats")
SHAPE = (10, 40, 36)


def a_case(
    seed: int = 0, modalities: tuple[str, ...] = ("T1", "FLAIR"), labelled: bool = True
) -> PreparedCase:
    images, labels = phantoms.head(np.random.default_rng(seed), SHAPE, modalities=modalities)
    geometry = ORIENTATIONS[0].geometry(SHAPE)
    return prepare(images, labels if labelled else None, geometry)


def append(store: Store, name: str, case: PreparedCase, **extra: Any) -> None:
    store.append(name, case, patient=extra.pop("patient", name), content="c" + name, **extra)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return create(tmp_path / "out.zarr", SPEC)


def test_what_is_appended_is_read(store: Store) -> None:
    case = a_case()
    append(store, "one", case, sources=[{"name": "x.nii"}], notices=["odd"])
    found = open_store(store.location).read_case("one")
    assert found.image.dtype == np.float16
    # float16 has 11 significant bits.
    np.testing.assert_allclose(found.image, case.image, rtol=2**-11, atol=2**-24)
    assert found.labels is not None and case.labels is not None
    assert np.array_equal(found.labels, case.labels) and found.labels.dtype == np.uint8
    for part in ("modalities", "geometry", "box", "normalisation"):
        assert getattr(found, part) == getattr(case, part)
    attributes = open_store(store.location).cases()["one"]
    assert attributes["sources"] == [{"name": "x.nii"}] and attributes["notices"] == ["odd"]


def test_a_case_without_labels(store: Store) -> None:
    append(store, "one", a_case(labelled=False))
    assert store.read_case("one").labels is None
    batch = store.read([SliceRef("one", 3)], modalities=["T1"], regions=REGIONS, frame=(64, 64))
    assert batch.image.any() and not batch.target.any()
    (entry,) = store.index().cases
    assert not entry.labelled and not entry.foreground.any()


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


def test_slices_are_read_centred_and_in_the_order_asked(store: Store) -> None:
    cases = {"one": a_case(1), "two": a_case(2, ("FLAIR", "T1"))}
    for name, case in cases.items():
        append(store, name, case)
    refs = [SliceRef("two", 4), SliceRef("one", 0), SliceRef("two", 5), SliceRef("two", 4)]
    batch = store.read(refs, modalities=["FLAIR", "T1"], regions={"ET": (4,)}, frame=(64, 32))
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


def test_a_missing_modality_reads_nought(store: Store) -> None:
    append(store, "one", a_case(modalities=("T1",)))
    read = [SliceRef("one", 4)]
    batch = store.read(read, modalities=["T2", "T1"], regions=REGIONS, frame=(64, 64))
    assert not batch.image[0, 0].any() and batch.image[0, 1].any()


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(st.integers(1, 70), st.integers(1, 70)))
def test_any_frame_fits(store: Store, frame: tuple[int, int]) -> None:
    if not store.cases():
        append(store, "one", a_case())
    batch = store.read([SliceRef("one", 5)], modalities=["T1"], regions=REGIONS, frame=frame)
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


def test_a_half_written_case_is_not_there(store: Store) -> None:
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
    found = store.read_case("one")
    assert found.modalities == ("T2",) and found.labels is None
    assert before.modalities == ("T1", "FLAIR")
    assert not (Path(store.location) / "cases" / "one" / "label").exists()


ODD = [
    "ä" * 120,
    "a b",
    "a/b",
    "../up",
    "..",
    ".hidden",
    "100%",
    "%2F",
    "Kopf ä",
    "扫描",
    "a\nb",
    "x.zarr",
    ".",
]


@pytest.mark.parametrize("name", ODD, ids=repr)
def test_odd_names_of_cases(store: Store, name: str) -> None:
    append(store, name, a_case())
    append(store, "plain", a_case(1))
    reopened = open_store(store.location)
    assert set(reopened.cases()) == {name, "plain"}
    assert reopened.read_case(name).image.any()
    # Nothing was written beside the store, and each case has a folder of its own.
    assert [p.name for p in Path(store.location).parent.iterdir()] == ["out.zarr"]
    folders = [p for p in (Path(store.location) / "cases").iterdir() if p.is_dir()]
    assert len(folders) == 2


def test_names_that_look_alike_stay_apart(store: Store) -> None:
    names = ["a/b", "a%2Fb", "a b", "a_b"]
    for seed, name in enumerate(names):
        append(store, name, a_case(seed))
    means = {name: store.read_case(name).image.astype(np.float64).std() for name in names}
    assert sorted(means) == sorted(store.cases()) and len(set(means.values())) == len(names)


def test_a_store_goes_on_only_with_the_same_settings(store: Store) -> None:
    append(store, "one", a_case())
    assert list(create(store.location, SPEC).cases()) == ["one"]
    with pytest.raises(OutputError, match=r"made for other regions.*WT=1\+2\+3\+4.*ET=4.*ET=3"):
        create(store.location, StoreSpec({"ET": (3,)}, SPEC.labels, "brats"))
    # Scans of another layout may join, if they are marked alike.
    joined = create(store.location, StoreSpec(SPEC.regions, {1: "tumour"}, "lgg"))
    assert joined.spec == SPEC and list(joined.cases()) == ["one"]


def test_a_store_may_be_made_in_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "x.zarr").mkdir()
    assert create(tmp_path / "x.zarr", SPEC).cases() == {}
    assert create(tmp_path / "deep" / "y.zarr", SPEC).name == "y"


def test_what_is_no_store_is_told(tmp_path: Path) -> None:
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


def edit_root(store: Store, **changes: Any) -> None:
    path = Path(store.location) / "zarr.json"
    metadata = json.loads(path.read_text())
    metadata["attributes"]["mriseg"].update(changes)
    path.write_text(json.dumps(metadata))


def test_another_version_is_refused(store: Store) -> None:
    edit_root(store, version=FORMAT_VERSION + 1)
    with pytest.raises(StoreError, match=rf"format {FORMAT_VERSION + 1}.*reads {FORMAT_VERSION}"):
        open_store(store.location)


@pytest.mark.parametrize("changes", [{"regions": 3}, {"regions": [["a"]]}, {"labels": {"x": "y"}}])
def test_damaged_settings_are_told(store: Store, changes: dict[str, Any]) -> None:
    edit_root(store, **changes)
    with pytest.raises(StoreError, match="damaged"):
        open_store(store.location)


def test_damaged_voxels_are_told_with_the_case(store: Store) -> None:
    append(store, "one", a_case())
    chunks = (Path(store.location) / "cases/one/image/c").rglob("*")
    (shard,) = (path for path in chunks if path.is_file())
    content = bytearray(shard.read_bytes())
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(StoreError, match="case one cannot be read"):
        open_store(store.location).read_case("one")
    with pytest.raises(StoreError, match="case one cannot be read"):
        open_store(store.location).read(
            [SliceRef("one", 2)], modalities=["T1"], regions=REGIONS, frame=(32, 32)
        )


def test_a_case_that_is_not_there_is_told(store: Store) -> None:
    with pytest.raises(StoreError, match="holds no case 'x'"):
        store.geometry("x")


def test_a_store_that_went_away_is_told(store: Store) -> None:
    shutil.rmtree(store.location)
    Path(store.location).write_text("a file now")
    with pytest.raises((OutputError, StoreError), match=r"out\.zarr"):
        append(store, "one", a_case())


@pytest.mark.parametrize("parents", [False, True], ids=["alone", "and zarr makes its parents"])
def test_a_store_that_goes_away_is_not_made_anew(store: Store, parents: bool) -> None:
    root = Path(store.location)
    away = root.rename(root.with_name("away"))
    if parents:  # as zarr does where the folder goes between its opening and a group's making
        zarr.create_group(root)
        zarr.create_group(root / "cases")
    with pytest.raises(OutputError, match="cannot be written"):
        append(store, "a", a_case(1))
    assert not root.exists() and away.exists()


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
        batch = fresh.read(one, modalities=["T1"], regions=REGIONS, frame=(64, 64))
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


def test_the_specification_goes_through_json() -> None:
    assert StoreSpec.from_json(json.loads(json.dumps(SPEC.to_json()))) == SPEC


def test_content_is_what_was_given(store: Store) -> None:
    image = np.arange(8.0).reshape(2, 2, 2)
    digest = content_digest({"T1": image})
    store.append("one", a_case(), patient="p", content=digest)
    assert store.index()["one"].content == digest


@pytest.mark.parametrize("frame", [(64, 64), (20, 48), (33, 17)])
def test_float16_is_what_float32_is_made_of(store: Store, frame: tuple[int, int]) -> None:
    append(store, "one", a_case())
    append(store, "two", a_case(2, ("T2",), labelled=False))
    refs = [SliceRef("one", 3), SliceRef("two", 1), SliceRef("one", 4)]
    kwargs: Any = {"modalities": ["T1", "T2"], "regions": REGIONS, "frame": frame}
    whole, half = store.read(refs, **kwargs), store.read(refs, dtype=np.float16, **kwargs)
    assert whole.image.dtype == np.float32 and half.image.dtype == np.float16
    assert np.array_equal(whole.image, half.image) and np.array_equal(whole.target, half.target)


def test_a_store_by_url_is_read_alike(store: Store) -> None:
    append(store, "one", a_case())
    far = open_store(f"file://{store.location}")
    near, other = store.read_case("one"), far.read_case("one")
    assert np.array_equal(near.image, other.image) and near.labels is not None
    assert other.labels is not None and np.array_equal(near.labels, other.labels)
    kwargs: Any = {"modalities": ["FLAIR"], "regions": REGIONS, "frame": (32, 64)}
    batches = [one.read([SliceRef("one", 2)], **kwargs) for one in (store, far)]
    assert np.array_equal(batches[0].image, batches[1].image)
    assert np.array_equal(batches[0].target, batches[1].target)


@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize("kind", ["image", "label"])
def test_a_shard_that_vanishes_while_it_is_read_is_told(
    store: Store, scheme: str, kind: str
) -> None:
    append(store, "one", a_case())
    read = open_store(f"{scheme}{store.location}")
    read.read_case("one")
    shutil.rmtree(Path(store.location) / "cases/one" / kind / "c")
    for _ in range(2):
        with pytest.raises(StoreError, match="case one cannot be read"):
            read.read_case("one")


def test_an_empty_label_map_by_url_is_no_lost_one(store: Store) -> None:
    case = a_case()
    assert case.labels is not None
    append(store, "one", dataclasses.replace(case, labels=np.zeros_like(case.labels)))
    labels = open_store(f"file://{store.location}").read_case("one").labels
    assert labels is not None and not labels.any()


def test_a_store_by_url_is_written_too() -> None:
    store = create("memory://mriseg-test/out.zarr", SPEC)
    append(store, "one", a_case())
    append(store, "one", a_case(1))
    assert np.array_equal(store.read_case("one").image, a_case(1).image)


def test_what_zarr_alone_reads_is_what_the_store_reads(store: Store) -> None:
    append(store, "one", a_case())
    group: Any = zarr.open_group(store.location, mode="r")["cases/one"]
    case = store.read_case("one")
    assert np.array_equal(group["image"][:].transpose(1, 0, 2, 3), case.image)
    assert np.array_equal(group["label"][:], case.labels)


def test_of_many_cases_a_bounded_number_is_open(store: Store) -> None:
    case, handles = (
        a_case(),
        psutil.Process().num_fds if hasattr(psutil.Process, "num_fds") else None,
    )
    names = [f"case{number:03}" for number in range(_OPEN_ARRAYS // 2 + 12)]
    append(store, names[0], case)
    first = Path(store.location) / "cases" / names[0]
    for name in names[1:]:
        shutil.copytree(first, first.with_name(name))
        metadata = json.loads((first / "zarr.json").read_text())
        metadata["attributes"]["mriseg"]["name"] = name
        metadata["attributes"]["mriseg"].pop("digest", None)
        (first.with_name(name) / "zarr.json").write_text(json.dumps(metadata))
    fresh = open_store(store.location)
    kwargs: Any = {"modalities": ["T1"], "regions": REGIONS, "frame": (32, 32)}
    expected = fresh.read([SliceRef(names[0], 2)], **kwargs)
    before = handles() if handles else 0
    for name in [*names, *names]:
        assert np.array_equal(fresh.read([SliceRef(name, 2)], **kwargs).image, expected.image)
    assert fresh._array.cache_info().currsize == _OPEN_ARRAYS
    assert (handles() if handles else 0) <= before + 4


def test_a_shard_that_is_cut_at_its_end_is_told_by_url_too(store: Store) -> None:
    append(store, "one", a_case())
    (shard,) = (p for p in (Path(store.location) / "cases/one/image/c").rglob("*") if p.is_file())
    shard.write_bytes(shard.read_bytes()[:-3])
    for location in (store.location, f"file://{store.location}"):
        with pytest.raises(StoreError, match="case one cannot be read"):
            open_store(location).read_case("one")
