"""The cases of a store: what each says of itself, made when it is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mriseg.core.modalities import MODALITIES
from mriseg.core.regions import Regions
from mriseg.core.sampling import VolumeIndex
from mriseg.errors import StoreError, reason_of
from mriseg.io.store.attributes import CASES, CaseAttributes
from mriseg.io.store.index import Index, Row, digest_in, read_index, read_unlisted
from mriseg.io.store.remedies import removal
from mriseg.io.store.storage import Tree


class Catalogue(Mapping[str, CaseAttributes]):
    """The complete cases of a store at one moment, by name, sorted.

    Attributes are made of a row when they are asked for: those of ten thousand cases at once would
    fill half a gigabyte.
    """

    def __init__(self, location: str, regions: int, rows: Mapping[str, Row]) -> None:
        """See `read_catalogue`; ``rows`` are by name."""
        self._location, self._regions = location, regions
        self._rows = dict(sorted(rows.items()))

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __getitem__(self, name: str) -> CaseAttributes:
        """The attributes of a case. Raises StoreError where they are damaged."""
        segment, row = self._rows[name]
        try:
            case = segment.case(row)
            case.check(self._regions)
        except ValueError as error:
            key = segment.columns.key[row]
            raise StoreError(
                f"{self._location}: {CASES}/{key} is damaged ({error}); "
                f"{removal(self._location, key)}"
            ) from None
        return case

    def __repr__(self) -> str:
        return f"<Catalogue of {len(self)} cases in {self._location}>"

    def folder(self, name: str) -> str:
        """The name of a case's folder."""
        segment, row = self._rows[name]
        return segment.columns.key[row]

    def volume_index(self, regions: Regions) -> VolumeIndex:
        """What the sampler needs of all cases."""
        entries = tuple(segment.entry(row) for segment, row in self._rows.values())
        named = dict.fromkeys(name for case in entries for name in case.modalities)
        # The usual ones first, in the usual order.
        modalities = [name for name in MODALITIES if name in named]
        modalities += [name for name in named if name not in MODALITIES]
        return VolumeIndex(entries, tuple(modalities), dict(regions))


def read_catalogue(tree: Tree, location: str, regions: int, index: Index) -> Catalogue:
    """The cases that are complete now.

    Args:
        tree: the store's files.
        location: of the store, for messages.
        regions: how many the store has.
        index: of the store, or one without segments; cases that it lacks are read themselves.

    Raises:
        StoreError: a case cannot be read, or its attributes are damaged.
    """
    rows = index.rows()
    try:
        keys = tree.folders(CASES)
    except OSError as error:
        raise StoreError(f"{location} cannot be read: {reason_of(error)}") from error
    present = set(keys)
    unlisted = [key for key in keys if key not in rows]
    if tree.is_far:
        # A list may lag behind: what it lacks and the index has is asked for itself.
        late, changed = _confirmed(
            tree, location, {k: v for k, v in rows.items() if k not in present}
        )
        present |= late
        unlisted += changed
    unread = read_unlisted(tree, location, unlisted, regions)
    by_key = {key: row for key, row in rows.items() if key in present}
    by_key |= {key: Row(unread, row) for row, key in enumerate(unread.columns.key)}
    return Catalogue(
        location,
        regions,
        {row.segment.columns.name[row.row]: row for _, row in sorted(by_key.items())},
    )


def _confirmed(tree: Tree, location: str, rows: Mapping[str, Row]) -> tuple[set[str], list[str]]:
    """Of cases that a list lacks: those that are there as their rows say, and changed ones."""
    keys = sorted(rows)
    try:
        documents = tree.read_each([f"{CASES}/{key}/zarr.json" for key in keys])
    except OSError as error:
        raise StoreError(f"{location} cannot be read: {reason_of(error)}") from error
    digests = {
        key: digest_in(document)
        for key, document in zip(keys, documents, strict=True)
        if document is not None
    }
    same = {key for key, digest in digests.items() if digest == rows[key].digest}
    return same, sorted(set(digests) - same)


def read_whole_index(tree: Tree, location: str, known: Index) -> Index:
    """The index as it is now; segments that are ``known`` are not read again.

    Raises:
        StoreError: it cannot be read.
    """
    try:
        return read_index(tree, known.segments)
    except OSError as error:
        raise StoreError(f"{location} cannot be read: {reason_of(error)}") from error
