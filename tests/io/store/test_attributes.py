"""The attributes of a case survive a round trip through their file; invalid ones are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from mriseg.errors import StoreError
from mriseg.io.disk.schemas import as_json, checked
from mriseg.io.store import CaseAttributes, Source, Store, StoreSpec, documents, key_of, open_store
from mriseg.io.store.attributes import case_in, sealed
from tests.stores import SPEC, a_case, append, rewrite

UNUSUAL = [
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


@pytest.mark.parametrize("name", UNUSUAL, ids=repr)
def test_unusual_names_of_cases(store: Store, name: str) -> None:
    append(store, name, a_case())
    append(store, "plain", a_case(1))
    reopened = open_store(store.location)
    assert set(reopened.cases()) == {name, "plain"}
    assert reopened.read_case(name).image.any()
    # Nothing was written outside the store, and each case has a folder of its own.
    assert [p.name for p in Path(store.location).parent.iterdir()] == ["out.zarr"]
    folders = [p for p in (Path(store.location) / "cases").iterdir() if p.is_dir()]
    assert len(folders) == 2


def test_names_that_look_alike_stay_apart(store: Store) -> None:
    names = ["a/b", "a%2Fb", "a b", "a_b"]
    for seed, name in enumerate(names):
        append(store, name, a_case(seed))
    means = {name: store.read_case(name).image.astype(np.float64).std() for name in names}
    assert sorted(means) == sorted(store.cases()) and len(set(means.values())) == len(names)


def test_keys_of_long_names_are_short_and_differ() -> None:
    keys = {key_of("ä" * 300 + end) for end in "ab"}
    assert len(keys) == 2 and all(len(key) < 250 for key in keys)


def test_the_specification_goes_through_json() -> None:
    said = json.loads(json.dumps(as_json(SPEC)))
    assert said == {
        "regions": [["WT", [1, 2, 3, 4]], ["ET", [4]]],
        "labels": {"1": "necrosis", "4": "enhancing"},
        "layout": "brats",
        "preparation": {"reference": "", "align": "none", "strip": "none"},
    }
    read = checked(StoreSpec, said)
    assert read == SPEC and list(read.regions) == ["WT", "ET"]


def a_stored_case(store: Store) -> tuple[Path, CaseAttributes]:
    source = Source("x.nii", 3, 4, "5")
    append(store, "one", a_case(), sources=[source], notices=["unusual"])
    return Path(store.location, "cases/one/zarr.json"), store.cases()["one"]


def test_the_attributes_of_a_case_go_through_json(store: Store) -> None:
    path, case = a_stored_case(store)
    said = json.loads(path.read_text())["attributes"]["mriseg"]
    digest = said.pop("digest")
    assert len(digest) == 64 and list(said) == list(as_json(case))
    assert said == json.loads(json.dumps(as_json(case)))
    assert checked(CaseAttributes, said) == case
    assert {file.name.partition("/")[0] for file in case.files} == set(case.kinds)


def test_an_unknown_key_of_a_case_is_ignored(store: Store) -> None:
    path, case = a_stored_case(store)
    rewrite(path, lambda said: said.update(complete=True))
    assert open_store(store.location).cases()["one"] == case


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(change, id=name)
        for name, change in {
            "no files": lambda said: said.pop("files"),
            "no fingerprint": lambda said: said.pop("fingerprint"),
            "no box": lambda said: said.pop("box"),
            "a box outside": lambda said: said["box"].update(stop=[99, 99, 99]),
            "an empty box": lambda said: said["box"].update(stop=said["box"]["start"]),
            "axes twice": lambda said: said["geometry"].update(axes=[0, 0, 1]),
            "a shape of 0": lambda said: said["geometry"].update(shape=[0, 40, 36]),
            "a unit": lambda said: said["geometry"].update(unit="cm"),
            "a header": lambda said: said["geometry"].update(header={"sform_code": 1}),
            "an affine of 3 rows": lambda said: said["geometry"]["affine"].pop(),
            "no number": lambda said: said["geometry"]["affine"][0].__setitem__(0, None),
            "a modality twice": lambda said: said.update(modalities=["T1", "T1"]),
            "no modality": lambda said: said.update(modalities=[]),
            "a mean too few": lambda said: said["normalisation"]["mean"].pop(),
            "a slice too few": lambda said: said["foreground"].pop(),
            "a region too many": lambda said: said["foreground"][0].append(1),
        }.items()
    ],
)
def test_attributes_without_sense_are_damage(
    store: Store, change: Callable[[dict[str, Any]], object]
) -> None:
    path, _ = a_stored_case(store)
    rewrite(path, change)
    with pytest.raises(StoreError, match=r"one/zarr\.json is damaged \(.+\); remove the folder"):
        open_store(store.location).cases()


def test_attributes_without_a_digest_or_with_another_are_damage(store: Store) -> None:
    path, _ = a_stored_case(store)
    before = path.read_bytes()
    for change in (lambda said: said.pop("digest"), lambda said: said.update(patient="other")):
        rewrite(path, change, sealed=False)
        with pytest.raises(ValueError, match="not what was written"):
            case_in(path.read_bytes())
        path.write_bytes(before)


def test_a_group_without_attributes_is_unfinished(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "x.zarr").create_group("cases/begun")
    ((key, document),) = documents(str(tmp_path / "x.zarr"))
    assert key == "begun" and case_in(document) is None


def test_the_digest_is_of_the_file_that_zarr_writes(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "x", attributes=sealed({"name": "ä"}))
    with pytest.raises(ValueError, match="patient"):  # and so it is not the digest
        case_in((tmp_path / "x/zarr.json").read_bytes())


def test_a_case_of_an_earlier_mriseg_says_nothing_of_its_head(store: Store) -> None:
    append(store, "one", replace(a_case(), head="whole"))
    assert open_store(store.location).cases()["one"].head == "whole"
    assert open_store(store.location).read_case("one").head == "whole"
    path = Path(store.location, "cases", "one", "zarr.json")
    rewrite(path, lambda said: said.pop("head"))
    assert open_store(store.location).cases()["one"].head == "unclear"
    rewrite(path, lambda said: said.update(head="shrunken"))
    with pytest.raises(StoreError, match="head is 'shrunken'"):
        open_store(store.location).cases()
