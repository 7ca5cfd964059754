"""A store's index: segments beside the cases, so that a large store opens fast.

The cases' own attributes are what a store says; the index repeats them, and is never needed. It is
a folder of segments (`mriseg.io.store.segments`), each written whole under a name made of its
content, and never changed.

- The process that preprocesses writes a segment of the cases that no segment lists, at its end.
  Processes that write cases write no rows.
- A row holds as long as its case's ``zarr.json`` is the one that it was made of. Before that is
  replaced, its digest is written down as gone; so no row is ever believed that was made, or will
  yet be written, from a case as it no longer is.
- A new segment takes in older ones that are no larger than itself, so that a store of n cases has
  about log n segments, and adding a case rewrites one row in most cases. The new one is written
  before those are removed: whatever happens in between, the rows of both say the same.
- What no row lists is read from the cases themselves.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from mriseg.errors import StoreError, reason_of
from mriseg.io.disk.checksums import written_digest
from mriseg.io.location import Location
from mriseg.io.store.attributes import CASES, case_in
from mriseg.io.store.remedies import removal
from mriseg.io.store.segments import SUFFIX, Segment, joined, name_of, packed, segment_in
from mriseg.io.store.storage import Tree
from mriseg.io.store.trees import tree_at

INDEX = "index"

# Cases that are read from their own attributes at once.
_AT_ONCE = 256
# How often the list of segments is read again, where one was merged into another meanwhile.
_TRIES = 5


class Row(NamedTuple):
    """Where a case stands in an index."""

    segment: Segment
    row: int

    @property
    def digest(self) -> str:
        """Of the ``zarr.json`` that the row was made of."""
        return self.segment.columns.digest[self.row]


class Index(NamedTuple):
    """The segments of a store.

    Attributes:
        segments: file name -> segment.
        damaged: file name -> what is wrong with it; such a file counts as missing.
    """

    segments: Mapping[str, Segment]
    damaged: Mapping[str, str]

    def rows(self) -> dict[str, Row]:
        """The rows that hold, by their case's folder."""
        gone = gone_in(self.segments.values())
        rows: dict[str, Row] = {}
        unsure = set()
        for segment in self.segments.values():
            columns = segment.columns
            for row, (key, digest) in enumerate(zip(columns.key, columns.digest, strict=True)):
                if digest in gone.get(key, ()):
                    continue
                if key in rows and rows[key].digest != digest:
                    unsure.add(key)
                rows[key] = Row(segment, row)
        for key in unsure:  # of two that both seem to hold, none is believed
            del rows[key]
        return rows


def gone_in(segments: Iterable[Segment]) -> dict[str, set[str]]:
    """Digests that no longer hold, by the case's folder."""
    gone: dict[str, set[str]] = {}
    for segment in segments:
        for key, digests in segment.gone.items():
            gone.setdefault(key, set()).update(digests)
    return gone


def read_index(tree: Tree, known: Mapping[str, Segment] | None = None) -> Index:
    """The segments of a store; ``known`` ones, by file name, are not read again.

    Raises:
        OSError: they cannot be read.
    """
    for attempt in range(_TRIES):
        names = [name for name in tree.names(INDEX) if name.endswith(SUFFIX)]
        new = [name for name in names if name not in (known or {})]
        contents = tree.read_each([f"{INDEX}/{name}" for name in new])
        # One that is gone was merged into another after the list was read.
        if any(content is None for content in contents) and attempt < _TRIES - 1:
            continue
        segments = {name: (known or {})[name] for name in names if name not in new}
        damaged = {}
        for name, content in zip(new, contents, strict=True):
            if content is None:
                damaged[name] = "is listed and is not there"
                continue
            try:
                segments[name] = segment_in(content)
            except ValueError as error:
                damaged[name] = f"is damaged: {error}"
        return Index(segments, damaged)
    raise AssertionError("the last attempt returns")


def read_unlisted(tree: Tree, location: str, keys: Sequence[str], regions: int) -> Segment:
    """The complete cases in some folders, from their own attributes.

    Raises:
        StoreError: they cannot be read, or those of a case are damaged.
    """
    segments = []
    # In pieces: the attributes of thousands of cases are much larger than a segment of them.
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        try:
            documents = tree.read_each([f"{CASES}/{key}/zarr.json" for key in some])
        except OSError as error:
            raise StoreError(f"{location} cannot be read: {reason_of(error)}") from error
        cases = []
        for key, document in zip(some, documents, strict=True):
            if document is None:
                continue
            try:
                case = case_in(document, regions)
            except ValueError as error:
                raise StoreError(
                    f"{location}: {CASES}/{key}/zarr.json is damaged ({error}); "
                    f"{removal(location, key)}"
                ) from None
            if case is not None:
                cases.append((key, digest_in(document), case))
        segments.append(packed(cases, regions))
    return segments[0] if len(segments) == 1 else joined([*segments, packed((), regions)], {})


def digest_in(document: bytes) -> str:
    """The digest that a ``zarr.json`` carries; empty where it has none."""
    return written_digest(io.BytesIO(document)) or ""


def retire(tree: Tree, where: Location, keys: Iterable[str]) -> None:
    """Write down that some cases are about to be replaced, before they are.

    Args:
        tree: the store's files.
        where: the store.
        keys: the folders of cases, whether they exist or not.

    Raises:
        OSError: the store cannot be read or written.
    """
    keys = list(keys)
    documents = tree.read_each([f"{CASES}/{key}/zarr.json" for key in keys])
    listed, gone = _listed(tree, where)
    going: dict[str, list[str]] = {}
    for key, document in zip(keys, documents, strict=True):
        # That of a case which no row lists too: another process may have read it, and be about to
        # write its row.
        digests = listed.get(key, set()) | ({digest_in(document)} if document else set())
        digests -= gone.get(key, set()) | {""}
        if digests:
            going[key] = sorted(digests)
    if going:
        data = joined([packed((), 0)], going).to_bytes()
        tree.write(f"{INDEX}/{name_of(data)}", data)


def update(tree: Tree, where: Location, regions: int) -> None:
    """Write rows of the cases that have none, and merge small segments.

    Only for a process that holds the store's lock, if it has one.

    Raises:
        OSError: the store cannot be read or written.
        StoreError: a case's attributes are damaged.
    """
    index = read_index(tree)
    keys = tree.folders(CASES)
    present = set(keys)
    rows = {key: row for key, row in index.rows().items() if key in present}
    new = read_unlisted(tree, str(where), [key for key in keys if key not in rows], regions)
    absorbed = _absorbed(index, new)
    if not len(new) and not absorbed and not index.damaged:
        return
    rest = [one for name, one in index.segments.items() if name not in absorbed]
    kept = [_holding(index.segments[name], rows) for name in absorbed]
    others = {(key, digest) for one in rest for key, digest in _pairs(one)}
    gone = {
        key: sorted(digest for digest in digests if (key, digest) in others)
        for key, digests in gone_in(index.segments[name] for name in absorbed).items()
    }
    merged = joined([*kept, new], {key: digests for key, digests in gone.items() if digests})
    name = ""
    if merged.weight:
        data = merged.to_bytes()
        name = name_of(data)
        tree.write(f"{INDEX}/{name}", data)
    for old in {*absorbed, *index.damaged} - {name}:
        with suppress(FileNotFoundError):
            tree.remove(f"{INDEX}/{old}")


def _absorbed(index: Index, new: Segment) -> list[str]:
    """The segments that a new one takes in: none that is larger than all that it then holds."""
    names, weight = [], new.weight
    rows = set(_pairs(new))
    for name, segment in sorted(index.segments.items(), key=lambda item: item[1].weight):
        # A case that was written again just as it had been holds again.
        holds_again = any(
            (key, digest) in rows for key in segment.gone for digest in segment.gone[key]
        )
        if 0 < segment.weight <= weight or holds_again:
            names.append(name)
            weight += segment.weight
    # To write one segment anew, for nothing, is what this is to avoid.
    return names if len(new) or len(names) > 1 else []


def _holding(segment: Segment, rows: Mapping[str, Row]) -> Segment:
    """The rows of a segment that hold, each once among all segments."""
    columns = segment.columns
    numbers = [
        number
        for number, key in enumerate(columns.key)
        if key in rows and rows[key].segment is segment and rows[key].row == number
    ]
    return segment if len(numbers) == len(segment) else segment.only(numbers)


def _pairs(segment: Segment) -> Iterable[tuple[str, str]]:
    return zip(segment.columns.key, segment.columns.digest, strict=True)


def _listed(tree: Tree, where: Location) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """What all segments list: digests of rows, and those that are gone, by folder."""
    for attempt in range(_TRIES):
        rows: dict[str, set[str]] = {}
        gone: dict[str, set[str]] = {}
        try:
            for name in tree.names(INDEX):
                if name.endswith(SUFFIX):
                    for of_all, own in zip((rows, gone), _listed_in(where, name), strict=True):
                        for key, digests in own.items():
                            of_all.setdefault(key, set()).update(digests)
            return rows, gone
        except FileNotFoundError:  # merged into another after the list was read
            if attempt == _TRIES - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


# A segment never changes, and each case that is written asks.
@lru_cache(maxsize=64)
def _listed_in(where: Location, name: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    try:
        segment = segment_in(tree_at(where).read(f"{INDEX}/{name}"))
    except ValueError:  # damaged: then nobody believes it
        return {}, {}
    rows: dict[str, list[str]] = {}
    for key, digest in _pairs(segment):
        rows.setdefault(key, []).append(digest)
    return rows, segment.gone
