"""Each check on its own; `tests/recipes/test_verify.py` has them put together."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from mriseg.errors import StoreError
from mriseg.io.disk.faults import Findings
from mriseg.io.store import Store
from mriseg.io.store.integrity import check_case, check_root
from tests.stores import REGIONS, a_case, append, rewrite


@pytest.fixture
def case(store: Store) -> Path:
    """The folder of the store's only case."""
    append(store, "one", a_case())
    return Path(store.location) / "cases" / "one"


def faults_of(case: Path) -> list[tuple[str, str]]:
    location, document = str(case.parents[1]), (case / "zarr.json").read_bytes()
    check = check_case(location, case.name, document, len(REGIONS))
    return [(fault.file, fault.what) for fault in check.findings.faults]


def test_a_whole_case_has_no_fault(case: Path) -> None:
    check = check_case(str(case.parents[1]), "one", (case / "zarr.json").read_bytes(), len(REGIONS))
    assert check.findings.faults == [] and check.findings.checked == {"files": 5}
    assert check.attributes is not None and not check.is_unfinished


def test_a_missing_file_and_a_longer_one_are_named(case: Path) -> None:
    (case / "label" / "zarr.json").unlink()
    with (case / "image" / "zarr.json").open("ab") as file:
        file.write(b" ")
    faults = dict(faults_of(case))
    assert faults["cases/one/label/zarr.json"] == "is missing"
    assert "bytes" in faults["cases/one/image/zarr.json"] and len(faults) == 2


def test_a_case_in_anothers_folder_is_named(case: Path) -> None:
    moved = case.rename(case.with_name("two"))
    assert ("cases/two/zarr.json", "says that it is of the case 'one'") in faults_of(moved)


def test_a_file_without_a_checksum_is_named(case: Path) -> None:
    rewrite(case / "zarr.json", partial(dict.update, files=[]))
    assert all("lists no checksum of" in what or "damaged" in what for _, what in faults_of(case))
    assert faults_of(case)


def test_an_unfinished_case_is_no_fault(case: Path) -> None:
    document = b'{"attributes": {}, "zarr_format": 3, "node_type": "group"}'
    check = check_case(str(case.parents[1]), "one", document, len(REGIONS))
    assert check.is_unfinished and not check.findings.faults


def test_a_root_that_lost_its_digest_is_a_fault(store: Store) -> None:
    findings = Findings()
    assert check_root(findings, store.location) is not None and not findings.faults
    rewrite(Path(store.location) / "zarr.json", lambda said: said.pop("digest"), sealed=False)
    assert check_root(findings, store.location) is None
    assert [(f.file, f.what) for f in findings.faults] == [("zarr.json", "has lost its digest")]


def test_a_folder_of_other_things_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not an mriseg store"):
        check_root(Findings(), str(tmp_path))
