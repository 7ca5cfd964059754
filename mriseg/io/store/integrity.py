"""What is wrong with a case of a store: its files, what they say, and the scans they were made of.

Each check looks at one case and tells what it found; `mriseg.recipes.verify` puts them together.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import numpy as np

from mriseg.core.regions import Regions
from mriseg.core.volume import Box
from mriseg.errors import InputError
from mriseg.io.disk.checksums import as_written, sha256
from mriseg.io.readers import Case
from mriseg.io.store import CASES, attributes_in, key_of, shard_name
from mriseg.io.store.arrays import Reader, open_array
from mriseg.io.store.storage import Tree

UNREADABLE = (OSError, ValueError, RuntimeError)
"""What reading a part of a store raises."""


@dataclass(frozen=True)
class Fault:
    """Something that is not as it should be.

    Attributes:
        file: which, relative to what was verified; a source by its name.
        what: is wrong with it, as it follows the file's name in a sentence.
        case: whose file it is; empty where it is no case's.
        slices: of the stored case, counted from 0, that cannot be read; empty where that cannot
            be told, or where it is all of them.
    """

    file: str
    what: str
    case: str = ""
    slices: tuple[int, ...] = ()


@dataclass
class CaseCheck:
    """What is known of a case once its files were looked at.

    Attributes:
        name: the case's; its folder's, where that is all that can be read.
        attributes: what its group says; empty where it was begun and not finished.
        sealed: whether it carries checksums.
        files: how many were looked at.
        faults: what is wrong with them.
    """

    name: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    sealed: bool = False
    files: int = 0
    faults: list[Fault] = field(default_factory=list)

    def blame(self, file: str, what: str, slices: Sequence[int] = ()) -> None:
        """One more fault."""
        self.faults.append(Fault(file, what, self.name, tuple(slices)))


def check_case(location: str, key: str, document: bytes, regions: Regions | None) -> CaseCheck:
    """Look at every file of a case.

    Args:
        location: of the store.
        key: the case's folder.
        document: its ``zarr.json``.
        regions: of the store, for counting labels; None where they are not known.
    """
    found = CaseCheck(unquote(key), files=1)
    folder = f"{CASES}/{key}"
    about = f"{folder}/zarr.json"
    intact = as_written(io.BytesIO(document))
    try:
        found.attributes = attributes_in(document) or {}
    except ValueError:
        found.blame(about, "is damaged: it is no JSON")
        return found
    if intact is False:
        # Then nothing that it says of the other files can be trusted.
        found.blame(about, "is not what was written (its own digest)")
        return found
    if not found.attributes:
        return found
    try:
        found.name = str(found.attributes["name"])
        if key_of(found.name) != key:
            found.blame(about, f"says that it is of the case {found.name!r}")
        found.sealed = "files" in found.attributes
        if found.sealed:
            if intact is None:
                found.blame(about, "has lost its own digest")
            _check_sums(found, location, folder)
        else:
            _check_voxels(found, location, folder, regions)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found.blame(about, f"is damaged: it lacks what a case has ({error!r})")
    except OSError as error:
        found.blame(folder, f"cannot be read: {error}")
    return found


def _check_sums(found: CaseCheck, location: str, folder: str) -> None:
    """Every file against the size and the SHA-256 that it was written with."""
    tree = Tree(location)
    written = {file["name"]: file for file in found.attributes["files"]}
    kinds = _kinds(found.attributes)
    names = [f"{kind}/{part}" for kind in kinds for part in ("zarr.json", shard_name(kind))]
    for name in names:
        if name not in written and found.attributes.get("complete"):
            found.blame(f"{folder}/zarr.json", f"lists no checksum of {name}")
    # Of others, such as one that leads out of the folder, nothing is read.
    for name, file in ((name, written[name]) for name in names if name in written):
        found.files += 1
        path = f"{folder}/{name}"
        size = tree.size(path)
        if size is None:
            found.blame(path, "is missing")
            continue
        if tree.sha256(path) == file["sha256"]:
            continue
        what = "is not what was written (SHA-256)"
        if size != file["size"]:
            what = f"has {size} bytes, {file['size']} were written"
        kind = name.partition("/")[0]
        if name.endswith("zarr.json"):
            found.blame(path, what)
            continue
        bad = _unreadable(found.attributes, location, f"{folder}/{kind}")
        every = len(bad) == Box.from_json(found.attributes["box"]).shape[0]
        if every:
            found.blame(path, f"{what}: none of its slices can be read")
        else:
            found.blame(path, what, bad)


def _check_voxels(found: CaseCheck, location: str, folder: str, regions: Regions | None) -> None:
    """What there is to check without checksums: that all can be read, and is what was counted."""
    shape = Box.from_json(found.attributes["box"]).shape
    counted = np.asarray(found.attributes["foreground"], dtype=np.int64)
    for kind in _kinds(found.attributes):
        path = f"{folder}/{kind}"
        shard = f"{path}/{shard_name(kind)}"
        found.files += 2
        if Tree(location).size(shard) is None:
            # Slices of nothing but 0 were once not written.
            if kind == "image" or counted.any():
                found.blame(shard, "is missing")
            continue
        bad: list[int] = []
        wrong: list[int] = []
        try:
            read = open_array(location, path)
            for z in range(shape[0]):
                values = _slice(read, z)
                if values is None:
                    bad.append(z)
                elif values.shape[-2:] != shape[1:] or not np.isfinite(values).all():
                    wrong.append(z)
                elif kind == "label" and regions is not None:
                    count = [np.isin(values, labels).sum() for labels in regions.values()]
                    if count != counted[z].tolist():
                        wrong.append(z)
        except UNREADABLE as error:
            found.blame(f"{path}/zarr.json", f"cannot be read ({error})")
        if bad:
            found.blame(shard, "cannot be read", bad)
        if wrong:
            found.blame(shard, "holds what was not written", wrong)


def _unreadable(attributes: Mapping[str, Any], location: str, path: str) -> list[int]:
    count = Box.from_json(attributes["box"]).shape[0]
    try:
        read = open_array(location, path, complete=bool(attributes.get("complete")))
    except UNREADABLE:
        return list(range(count))
    return [z for z in range(count) if _slice(read, z) is None]


def _slice(read: Reader, z: int) -> Any:
    """A slice, or None where it cannot be read."""
    try:
        return read(z)()
    except UNREADABLE:
        return None


def _kinds(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    return ("image", "label") if attributes["labelled"] else ("image",)


def check_sources(name: str, attributes: Mapping[str, Any], case: Case | None) -> list[Fault]:
    """Whether a case's sources are what was read.

    Args:
        name: of the case.
        attributes: what the store says of it.
        case: as it is found now; None where it is not.
    """
    stored = {source["name"]: source for source in attributes["sources"]}
    if case is None:
        return [Fault(file, "is not where the sources are said to be", name) for file in stored]
    now = {path.name: path for path in case.files}
    faults = [
        Fault(file, "is new among the case's sources", name) for file in now if file not in stored
    ]
    for file, source in stored.items():
        if file not in now:
            faults.append(Fault(file, "is no longer among the case's sources", name))
            continue
        try:
            if sha256(now[file]) != source["sha256"]:
                faults.append(Fault(file, "has changed since it was read", name))
        except InputError as error:
            faults.append(Fault(file, f"cannot be read ({error})", name))
    return faults
