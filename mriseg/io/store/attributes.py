"""What a store says of itself and of its cases: the attributes of its zarr groups.

They lie under ``mriseg`` in each group's ``zarr.json``, with the digest of that file. The form is
described in ``docs/formats.md``; ``FORMAT_VERSION`` changes when it does.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import quote

import zarr
from pydantic import Field

from mriseg.core.heads import UNCLEAR, Head
from mriseg.core.intensity import Normalisation
from mriseg.core.preparation import UNPREPARED, Preparation, SessionRecord
from mriseg.core.volume import MAX_SIDE, Box, Geometry
from mriseg.errors import StoreError, reason_of
from mriseg.io.disk.checksums import BLANK, as_written, digest_of
from mriseg.io.disk.known_files import KnownFile
from mriseg.io.disk.schemas import MAX_VOXELS, Name, RegionTable, checked
from mriseg.io.disk.untrusted import parse_json
from mriseg.io.store.trees import tree_at

FORMAT = "mriseg-store"
FORMAT_VERSION = 2
CASES = "cases"
AXES: Mapping[str, tuple[str, ...]] = {
    "image": ("z", "modality", "y", "x"),
    "label": ("z", "y", "x"),
}
"""The arrays of a case, and what their axes are."""

_KEY = "mriseg"
# File systems take names of 255 bytes.
_MAX_KEY_CHARACTERS = 200
# Documents that are read at once.
_AT_ONCE = 256


@dataclass(frozen=True)
class StoreSpec:
    """What holds for all cases of a store.

    Attributes:
        regions: name -> label values; the default target comes first.
        labels: label value -> name, where known.
        layout: the reader that found the cases.
        preparation: what was done to the scans of each of its cases.
    """

    regions: RegionTable
    labels: dict[int, str] = field(default_factory=dict)
    layout: str = ""
    preparation: Preparation = UNPREPARED


Source = KnownFile
"""A file that a case was read from."""


@dataclass(frozen=True)
class StoredFile:
    """A file of a case's arrays, as it was written.

    Attributes:
        name: in the case's folder.
        size: in bytes.
        sha256: of its bytes.
    """

    name: Name
    size: int
    sha256: str


@dataclass(frozen=True)
class CaseAttributes:
    """What a store says of a case without its arrays being read.

    Attributes:
        name: the case's.
        patient: whose scan it is.
        content: `mriseg.core.prepare.content_digest` of its raw images.
        fingerprint: modality -> what it looks like, see `mriseg.core.fingerprint`.
        modalities: the image's channels, in order.
        labelled: whether it has a segmentation.
        geometry: where its source lies in space.
        box: where its arrays lie in the canonical volume.
        normalisation: of each channel.
        foreground: voxels of each region in each slice, [z][region]; zeros if not labelled.
        sources: the files that it was read from.
        notices: what was accepted although it is unusual.
        files: those of its arrays, with checksums.
        session: what was done to its scans; None: nothing, or an earlier mriseg wrote it.
        head: what they show, see `mriseg.core.heads`; "unclear", too, where an earlier mriseg wrote
            it.
    """

    name: Name
    patient: Name
    content: Name
    fingerprint: dict[str, Name]
    modalities: Annotated[tuple[Name, ...], Field(min_length=1, max_length=64)]
    labelled: bool
    geometry: Geometry
    box: Box
    normalisation: Normalisation
    foreground: list[list[int]]
    sources: tuple[Source, ...]
    notices: tuple[str, ...]
    files: tuple[StoredFile, ...]
    session: SessionRecord | None = None
    head: Head = UNCLEAR

    @property
    def kinds(self) -> tuple[str, ...]:
        """The arrays that it has, by their names."""
        return ("image", "label") if self.labelled else ("image",)

    def check(self, regions: int) -> None:
        """Make sure that its parts are of one case, and of that many regions.

        Raises:
            ValueError: they are not.
        """
        whole = self.geometry.canonical_shape
        edges = list(zip(self.box.start, self.box.stop, whole, strict=True))
        if not all(0 <= start < stop <= length for start, stop, length in edges):
            raise ValueError(f"its box {self.box.start} to {self.box.stop} is not in {whole}")
        z, y, x = self.box.shape
        if max(y, x) > MAX_SIDE or z * y * x > MAX_VOXELS:
            raise ValueError(f"{z} x {y} x {x} voxels are more than mriseg reads")
        if len(self.foreground) != z or any(len(row) != regions for row in self.foreground):
            raise ValueError(f"its foreground is not of {z} slices and {regions} regions")
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError("a modality is named twice")
        norm = self.normalisation
        if {len(norm.mean), len(norm.std)} != {len(self.modalities)}:
            raise ValueError("its normalisation is not of its modalities")


def attributes_in(document: bytes) -> dict[str, Any] | None:
    """What a group's ``zarr.json`` holds of mriseg's; None where it is not such a group.

    Raises:
        ValueError: it is not JSON.
    """
    data = parse_json(document)
    if not isinstance(data, dict) or data.get("node_type") != "group":
        return None
    attributes = data.get("attributes")
    ours = attributes.get(_KEY) if isinstance(attributes, dict) else None
    return ours if isinstance(ours, dict) else None


def case_in(document: bytes, regions: int | None = None) -> CaseAttributes | None:
    """The case that a group's ``zarr.json`` describes; None where it was begun and not finished.

    Args:
        document: the ``zarr.json``.
        regions: how many the store has; None where that is not known.

    Raises:
        ValueError: it is damaged.
    """
    intact = as_written(io.BytesIO(document))
    attributes = attributes_in(document)
    if intact is False or (attributes is not None and intact is None):
        raise ValueError("it is not what was written, by its own digest")
    if attributes is None:
        return None
    case = checked(CaseAttributes, attributes)
    if regions is not None:
        case.check(regions)
    return case


def sealed(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a group, with the digest of the ``zarr.json`` that zarr makes of them."""
    blank = {"digest": BLANK, **attributes}
    memory: dict[str, Any] = {}
    zarr.create_group(memory, attributes={_KEY: blank})
    return {_KEY: {**blank, "digest": digest_of(memory["zarr.json"].to_bytes())}}


def count(location: str) -> int:
    """How many folders of cases a store has, finished or not.

    Raises:
        StoreError: they cannot be read.
    """
    try:
        return len(tree_at(location).folders(CASES))
    except OSError as error:
        raise StoreError(f"{location} cannot be read: {reason_of(error)}") from error


def documents(location: str) -> Iterator[tuple[str, bytes]]:
    """The ``zarr.json`` of each case's folder that has one, by the folder's name, sorted.

    They are read some at a time: of thousands of cases they would fill memory.

    Raises:
        StoreError: they cannot be read.
    """
    try:
        tree = tree_at(location)
        keys = tree.folders(CASES)
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            texts = tree.read_each([f"{CASES}/{key}/zarr.json" for key in some])
            for key, text in zip(some, texts, strict=True):
                if text is not None:
                    yield key, text
    except OSError as error:
        raise StoreError(f"{location} cannot be read: {reason_of(error)}") from error


def shard_name(kind: str) -> str:
    """Where the one shard of a case's array lies in the array's folder."""
    return "/".join(("c", *"0" * len(AXES[kind])))


def key_of(name: str) -> str:
    """The name of a case's folder in a store."""
    # A case's name may hold anything that a folder's may; a key in a store may not.
    key = quote(name, safe=" ,+=()[]@")
    if key.startswith("."):
        key = f"%2E{key[1:]}"  # neither hidden nor the folder above
    if len(key) > _MAX_KEY_CHARACTERS:
        digest = hashlib.sha256(name.encode()).hexdigest()
        key = f"{key[:_MAX_KEY_CHARACTERS]}-{digest[:16]}"
    return key
