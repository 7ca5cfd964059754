"""What is wrong with a store: its root, its cases' files, and the scans that they were made of.

`mriseg.recipes.verify` puts these checks together.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from mriseg.errors import InputError, StoreError, reason_of
from mriseg.io.disk.checksums import as_written, sha256
from mriseg.io.disk.faults import Fault, Findings
from mriseg.io.disk.untrusted import parse_json
from mriseg.io.readers import Case
from mriseg.io.readers.folders import text
from mriseg.io.store.arrays import Reader, open_array
from mriseg.io.store.attributes import (
    CASES,
    CaseAttributes,
    attributes_in,
    case_in,
    key_of,
    shard_name,
)
from mriseg.io.store.index import INDEX, Row, digest_in, read_index
from mriseg.io.store.opening import VERSIONS, open_store
from mriseg.io.store.segments import same_entry
from mriseg.io.store.storage import Tree
from mriseg.io.store.store import Store
from mriseg.io.store.trees import tree_at

UNREADABLE = (OSError, ValueError, RuntimeError)
"""What reading a part of a store raises."""

_WITHOUT_INDEX = "remove the folder index and preprocess again, which writes it again"
_UNWRITTEN = "is not what was written (its own digest)"


@dataclass
class CaseCheck:
    """What is known of a case once its files were looked at.

    Attributes:
        name: the case's; its folder's, where that is all that can be read.
        attributes: what its group says; None where it was begun and not finished, or is damaged.
        findings: the files that were looked at, and what is wrong with them.
    """

    name: str
    attributes: CaseAttributes | None = None
    findings: Findings = field(default_factory=Findings)

    @property
    def is_unfinished(self) -> bool:
        """Whether it was begun and not written to its end, which is not a fault."""
        return self.attributes is None and not self.findings.faults

    def blame(self, file: str, what: str, slices: list[int] | None = None) -> None:
        """One more fault."""
        self.findings.blame(file, what, self.name, slices or ())


def check_root(findings: Findings, location: str) -> Store | None:
    """Check what holds for all cases; gives the store, where it can be opened.

    Raises:
        StoreError: it is not a store, or its format is newer.
    """
    findings.count("files")
    try:
        tree = tree_at(location)
        document = tree.read("zarr.json")
    except OSError as error:
        if not _has_cases(location):
            what = "is not an mriseg store" if _is_absent(error) else "cannot be read"
            raise StoreError(f"{location} {what}: {reason_of(error)}") from None
        findings.blame("zarr.json", "is missing or cannot be read")
        return None
    try:
        about = attributes_in(document)
    except ValueError:
        findings.blame("zarr.json", "is damaged: it is not JSON")
        return None
    intact = as_written(io.BytesIO(document))
    if intact is False:
        findings.blame("zarr.json", _UNWRITTEN)
        return None
    if intact is None and about and about.get("version") in [*VERSIONS]:
        findings.blame("zarr.json", "has lost its digest")
        return None
    store = open_store(location)
    _check_group(findings, tree)
    return store


def _is_absent(error: OSError) -> bool:
    return isinstance(error, FileNotFoundError | NotADirectoryError)


def _has_cases(location: str) -> bool:
    try:
        return bool(tree_at(location).folders(CASES))
    except OSError:
        return False


def _check_group(findings: Findings, tree: Tree) -> None:
    """The group that holds the cases says nothing of its own."""
    name = f"{CASES}/zarr.json"
    if not tree.folders(CASES):
        return
    findings.count("files")
    try:
        group = parse_json(tree.read(name))
        said = {key: value for key, value in group.items() if value is not None}
        if said != {"attributes": {}, "node_type": "group", "zarr_format": 3}:
            findings.blame(name, "is not what was written")
    except (OSError, ValueError, AttributeError):
        findings.blame(name, "is damaged")


def check_index(findings: Findings, location: str, store: Store | None) -> dict[str, Row]:
    """Check the segments of the index; gives the rows that hold, by their case's folder."""
    if store is None or store.version == 1:
        return {}
    try:
        index = read_index(tree_at(location))
    except OSError as error:
        findings.blame(INDEX, f"cannot be read: {reason_of(error)}")
        return {}
    findings.count("files", len(index.segments) + len(index.damaged))
    for name, what in index.damaged.items():
        findings.blame(f"{INDEX}/{name}", f"{what}; {_WITHOUT_INDEX}")
    return index.rows()


def check_row(check: CaseCheck, row: Row | None, document: bytes) -> None:
    """Whether the index says of a case what the case says of itself.

    Args:
        check: of the case, to add to.
        row: of the index; None where it has none, which is no fault.
        document: the case's ``zarr.json``.
    """
    if row is None or check.findings.faults:
        return
    try:
        same = (
            check.attributes is not None
            and row.digest == digest_in(document)
            and row.segment.case(row.row) == check.attributes
            and same_entry(row.segment.entry(row.row), check.attributes)
        )
    except ValueError:
        same = False
    if not same:
        check.blame(INDEX, f"does not say of it what the case says; {_WITHOUT_INDEX}")


def check_report(findings: Findings, location: str, keys: set[str]) -> None:
    """Look for the cases that the last preprocessing left in the store.

    Args:
        findings: to add to.
        location: of the store.
        keys: the folders of the cases that it has.
    """
    tree = tree_at(location)
    if tree.size("report.json") is None:
        return
    findings.count("files")
    try:
        content = tree.read("report.json")
        if not as_written(io.BytesIO(content)):
            raise ValueError("it is not what was written, by its own digest")
        report = parse_json(content.decode("utf-8-sig"))
        names = [case["case"] for case in report["cases"] if case["status"] != "skipped"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        findings.blame("report.json", f"is damaged ({reason_of(error)})")
        return
    for name in names:
        key = key_of(name)
        if key not in keys:
            what = "is lost: report.json says that it was written"
            findings.blame(f"{CASES}/{key}", what, name)


def check_case(location: str, key: str, document: bytes, regions: int | None) -> CaseCheck:
    """Look at every file of a case.

    Args:
        location: of the store.
        key: the case's folder.
        document: its ``zarr.json``.
        regions: how many the store has; None where that is not known.
    """
    check = CaseCheck(unquote(key))
    check.findings.count("files")
    folder = f"{CASES}/{key}"
    try:
        case = case_in(document, regions)
    except ValueError as error:
        # Then nothing that it says of the other files can be trusted.
        check.blame(f"{folder}/zarr.json", f"is damaged: {error}")
        return check
    if case is None:
        return check
    check.name, check.attributes = case.name, case
    if key_of(case.name) != key:
        check.blame(f"{folder}/zarr.json", f"says that it is of the case {case.name!r}")
    try:
        _check_files(check, case, location, folder)
    except OSError as error:
        check.blame(folder, f"cannot be read: {reason_of(error)}")
    return check


def _check_files(check: CaseCheck, case: CaseAttributes, location: str, folder: str) -> None:
    """Every file against the size and the SHA-256 that it was written with."""
    tree = tree_at(location)
    written = {file.name: file for file in case.files}
    # Of others that it lists, such as one that leads out of the folder, nothing is read.
    for kind in case.kinds:
        for name in (f"{kind}/zarr.json", f"{kind}/{shard_name(kind)}"):
            if name not in written:
                check.blame(f"{folder}/zarr.json", f"lists no checksum of {name}")
                continue
            check.findings.count("files")
            path, size = f"{folder}/{name}", tree.size(f"{folder}/{name}")
            if size is None:
                check.blame(path, "is missing")
            elif tree.sha256(path) != written[name].sha256:
                what = "is not what was written (SHA-256)"
                if size != written[name].size:
                    what = f"has {size} bytes, {written[name].size} were written"
                _blame_file(check, case, location, path, what)


def _blame_file(
    check: CaseCheck, case: CaseAttributes, location: str, path: str, what: str
) -> None:
    """One more fault; of a shard with the slices that cannot be read."""
    if path.endswith("zarr.json"):
        check.blame(path, what)
        return
    array = path.rpartition("/c/")[0]
    unreadable = _unreadable(location, array, case.box.shape[0])
    if len(unreadable) == case.box.shape[0]:
        check.blame(path, f"{what}: none of its slices can be read")
    else:
        check.blame(path, what, unreadable)


def _unreadable(location: str, path: str, count: int) -> list[int]:
    try:
        read = open_array(location, path)
    except UNREADABLE:
        return list(range(count))
    return [z for z in range(count) if _slice(read, z) is None]


def _slice(read: Reader, z: int) -> Any:
    """A slice, or None where it cannot be read."""
    try:
        return read(z)()
    except UNREADABLE:
        return None


def check_sources(stored: CaseAttributes, case: Case | None) -> list[Fault]:
    """Whether a case's sources are what was read.

    Args:
        stored: what the store says of the case.
        case: as it is now; None where it is not among the scans.
    """
    name = stored.name
    sources = {source.name: source for source in stored.sources}
    if case is None:
        return [Fault(file, "is not where the sources are said to be", name) for file in sources]
    now = {text(path.name): path for path in case.files}
    faults = [
        Fault(file, "is new among the case's sources", name) for file in now if file not in sources
    ]
    for file, source in sources.items():
        if file not in now:
            faults.append(Fault(file, "is no longer among the case's sources", name))
            continue
        try:
            if sha256(now[file]) != source.sha256:
                faults.append(Fault(file, "has changed since it was read", name))
        except InputError as error:
            faults.append(Fault(file, f"cannot be read ({error})", name))
    return faults
