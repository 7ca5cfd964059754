"""A segment of a store's index: what some cases say of themselves, in one file, column by column.

To open ten thousand cases by their own attributes takes as many reads, and checks of long lists of
numbers. A segment holds the same in a few arrays, of which only what is asked for is looked at: a
case's attributes are made of its row when they are wanted. It is a safetensors file, which holds
arrays and text and can run nothing, and carries its digest.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from binascii import Error as BadBase64
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from mriseg.core.fingerprint import Fingerprint
from mriseg.core.sampling import CaseEntry
from mriseg.io.disk.checksums import BLANK, as_written, digest_of
from mriseg.io.disk.schemas import MAX_VOXELS, Name, Side, as_json, checked
from mriseg.io.disk.untrusted import parse_json
from mriseg.io.store.attributes import CaseAttributes

FORMAT = "mriseg-index"
FORMAT_VERSION = 1
SUFFIX = ".safetensors"

# Bytes of a fingerprint: 2048 bits.
_PRINT = 256


@dataclass(frozen=True)
class Columns:
    """What a segment knows of its cases at once, a list each.

    Attributes:
        key: the case's folder.
        digest: of the ``zarr.json`` that the row was made of.
        name: the case's.
        patient: whose scan it is.
        content: the digest of its voxels.
        modalities: the image's channels.
        labelled: whether it has a segmentation.
        shape: of its arrays (z, y, x).
        prints: the modalities of its fingerprint, in the order of the rows of ``prints``; None
            where that, or the voxels by slice, are in its details.
    """

    key: list[Name] = field(default_factory=list)
    digest: list[Name] = field(default_factory=list)
    name: list[Name] = field(default_factory=list)
    patient: list[Name] = field(default_factory=list)
    content: list[Name] = field(default_factory=list)
    modalities: list[tuple[Name, ...]] = field(default_factory=list)
    labelled: list[bool] = field(default_factory=list)
    shape: list[tuple[Side, Side, Side]] = field(default_factory=list)
    prints: list[tuple[Name, ...] | None] = field(default_factory=list)


@dataclass(frozen=True)
class _Head:
    columns: Columns
    gone: dict[Name, list[Name]]


class Segment:
    """Rows of an index, each of a case, and the rows that no longer hold.

    Attributes:
        columns: what is known of the cases at once.
        gone: a case's folder -> digests of those of its ``zarr.json`` that were replaced; a row of
            any segment that was made of one of them no longer holds.
    """

    def __init__(
        self,
        columns: Columns,
        foreground: NDArray[np.integer[Any]],
        prints: NDArray[np.uint8],
        details: Sequence[bytes] | _Texts,
        gone: dict[str, list[str]] | None = None,
    ) -> None:
        self.columns = columns
        self.gone = gone or {}
        self._foreground, self._prints, self._details = foreground, prints, details
        packed = [names is not None for names in columns.prints]
        slices = [shape[0] * has for shape, has in zip(columns.shape, packed, strict=True)]
        self._slices = np.concatenate([[0], np.cumsum(slices, dtype=np.int64)])
        counts = [len(names or ()) for names in columns.prints]
        self._print = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        if (len(foreground), len(prints)) != (self._slices[-1], self._print[-1]):
            raise ValueError("its arrays are not of its cases")
        if not len(self) == len(details) == len(columns.key) == len(columns.prints):
            raise ValueError("its columns are not of one length")

    def __len__(self) -> int:
        return len(self.columns.key)

    @property
    def weight(self) -> int:
        """How much there is to write, in cases."""
        return len(self) + len(self.gone)

    def case(self, row: int) -> CaseAttributes:
        """The attributes of a case, as its own ``zarr.json`` says them.

        Raises:
            ValueError: they are damaged.
        """
        said = parse_json(self._details[row])
        if not isinstance(said, dict):
            raise ValueError("its attributes are no object")
        if self.columns.prints[row] is not None:
            said["fingerprint"] = dict(self._fingerprint(row))
            said["foreground"] = self._counts(row).tolist()
        return checked(CaseAttributes, said)

    def entry(self, row: int) -> CaseEntry:
        """What the sampler needs of a case."""
        columns = self.columns
        if columns.prints[row] is None:
            return entry_of(self.case(row))
        return CaseEntry(
            name=columns.name[row],
            patient=columns.patient[row],
            shape=columns.shape[row],
            modalities=columns.modalities[row],
            foreground=self._counts(row).astype(np.int64),
            labelled=columns.labelled[row],
            content=columns.content[row],
            fingerprint=self._fingerprint(row),
        )

    def only(self, rows: Sequence[int]) -> Segment:
        """Some of its rows."""
        columns = Columns(
            **{
                each.name: [getattr(self.columns, each.name)[row] for row in rows]
                for each in fields(Columns)
            }
        )
        counts = [self._counts(row) for row in rows]
        prints = [self._prints[self._print[row] : self._print[row + 1]] for row in rows]
        return Segment(
            columns,
            np.concatenate([self._foreground[:0], *counts]),
            np.concatenate([self._prints[:0], *prints]),
            [bytes(self._details[row]) for row in rows],
        )

    def to_bytes(self) -> bytes:
        """The file."""
        head = json.dumps({"columns": asdict(self.columns), "gone": self.gone}).encode()
        texts = [bytes(self._details[row]) for row in range(len(self))]
        tensors = {
            "head": np.frombuffer(head, dtype=np.uint8),
            "foreground": np.ascontiguousarray(self._foreground),
            "prints": np.ascontiguousarray(self._prints),
            "details": np.frombuffer(b"".join(texts), dtype=np.uint8),
            "ends": np.cumsum([len(text) for text in texts], dtype=np.int64),
        }
        about = json.dumps({"digest": BLANK, "format": FORMAT, "version": FORMAT_VERSION})
        blank: bytes = safetensors.numpy.save(tensors, {"mriseg": about})
        return blank.replace(BLANK.encode(), digest_of(blank).encode(), 1)

    def _counts(self, row: int) -> NDArray[np.integer[Any]]:
        return self._foreground[self._slices[row] : self._slices[row + 1]]

    def _fingerprint(self, row: int) -> Fingerprint:
        first = self._print[row]
        return tuple(
            (name, base64.b64encode(self._prints[first + at].tobytes()).decode("ascii"))
            for at, name in enumerate(self.columns.prints[row] or ())
        )


def entry_of(case: CaseAttributes) -> CaseEntry:
    """What the sampler needs of a case, from its attributes."""
    z = case.box.shape[0]
    return CaseEntry(
        name=case.name,
        patient=case.patient,
        shape=case.box.shape,
        modalities=case.modalities,
        foreground=np.asarray(case.foreground, dtype=np.int64).reshape(z, -1),
        labelled=case.labelled,
        content=case.content,
        fingerprint=tuple(sorted(case.fingerprint.items())),
    )


def same_entry(entry: CaseEntry, case: CaseAttributes) -> bool:
    """Whether an entry says of a case what its attributes say."""
    other = entry_of(case)
    plain = [replace(one, foreground=np.empty(0, np.int64)).__dict__ for one in (entry, other)]
    for one in plain:
        del one["foreground"]
    return plain[0] == plain[1] and np.array_equal(entry.foreground, other.foreground)


def packed(cases: Iterable[tuple[str, str, CaseAttributes]], regions: int) -> Segment:
    """A segment of some cases.

    Args:
        cases: folder, digest of the ``zarr.json``, and what that says.
        regions: how many the store has.
    """
    columns, texts = Columns(), []
    counts: list[NDArray[np.uint32]] = []
    prints: list[bytes] = []
    for key, digest, case in cases:
        own = _packed_case(case)
        said = as_json(case if own is None else replace(case, fingerprint={}, foreground=[]))
        if own is not None:
            counts.append(own[0].reshape(-1, regions))
            prints += own[1]
        entry = (key, digest, case.name, case.patient, case.content, case.modalities)
        names = tuple(sorted(case.fingerprint)) if own is not None else None
        row = (*entry, case.labelled, case.box.shape, names)
        for each, value in zip(fields(Columns), row, strict=True):
            getattr(columns, each.name).append(value)
        texts.append(json.dumps(said, separators=(",", ":")).encode())
    foreground = np.concatenate([np.empty((0, regions), np.uint32), *counts])
    bits = np.frombuffer(b"".join(prints), dtype=np.uint8).reshape(-1, _PRINT)
    return Segment(columns, _smaller(foreground), bits, texts)


def joined(segments: Sequence[Segment], gone: dict[str, list[str]]) -> Segment:
    """The rows of several segments in one, with what is ``gone``."""
    columns = Columns(
        **{
            each.name: [value for one in segments for value in getattr(one.columns, each.name)]
            for each in fields(Columns)
        }
    )
    regions = max((one._foreground.shape[1] for one in segments), default=0)
    counts = [one._foreground for one in segments if len(one._foreground)]
    return Segment(
        columns,
        np.concatenate([np.empty((0, regions), np.uint16), *counts]),
        np.concatenate([np.empty((0, _PRINT), np.uint8), *(one._prints for one in segments)]),
        [bytes(one._details[row]) for one in segments for row in range(len(one))],
        gone,
    )


def segment_in(data: bytes) -> Segment:
    """The segment that a file holds.

    Raises:
        ValueError: it is damaged, or of a version that is not known.
    """
    if not as_written(io.BytesIO(data)):
        raise ValueError("it is not what was written, by its own digest")
    try:
        tensors = safetensors.numpy.load(data)
        # Told by the file's own beginning: the library gives the arrays alone.
        size = int.from_bytes(data[:8], "little")
        about = parse_json(parse_json(data[8 : 8 + size])["__metadata__"]["mriseg"])
        if (about["format"], about["version"]) != (FORMAT, FORMAT_VERSION):
            raise ValueError(f"it is of {about['format']} {about['version']}")
        head = checked(_Head, parse_json(tensors["head"].tobytes()))
        foreground, prints = tensors["foreground"], tensors["prints"]
        texts = _Texts(tensors["details"], tensors["ends"])
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"it has another form ({error})") from None
    if foreground.ndim != 2 or foreground.dtype.kind != "u" or prints.dtype != np.uint8:
        raise ValueError("its arrays have another form")
    if prints.ndim != 2 or prints.shape[1] != _PRINT or foreground.size > MAX_VOXELS:
        raise ValueError("its arrays have another form")
    same: dict[tuple[str, ...], tuple[str, ...]] = {}
    # Thousands of equal tuples become one.
    columns = head.columns
    columns.modalities[:] = [same.setdefault(names, names) for names in columns.modalities]
    columns.prints[:] = [
        None if names is None else same.setdefault(names, names) for names in columns.prints
    ]
    return Segment(columns, foreground, prints, texts, head.gone)


def name_of(data: bytes) -> str:
    """A segment's file name: equal segments have the same."""
    return hashlib.sha256(data).hexdigest()[:32] + SUFFIX


class _Texts(Sequence[bytes]):
    """Texts that lie end to end in an array."""

    def __init__(self, data: NDArray[np.uint8], ends: NDArray[np.int64]) -> None:
        if data.ndim != 1 or ends.ndim != 1 or ends.dtype != np.int64:
            raise ValueError("its texts have another form")
        steps = np.diff(ends, prepend=0)
        if (steps < 0).any() or (len(ends) and ends[-1] != len(data)):
            raise ValueError("its texts have another form")
        self._data, self._ends = data, ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, row: Any) -> Any:
        start = self._ends[row - 1] if row else 0
        return self._data[start : self._ends[row]].tobytes()


def _packed_case(case: CaseAttributes) -> tuple[NDArray[np.uint32], list[bytes]] | None:
    """Voxels by slice and fingerprints as arrays; None where they are too odd for that."""
    try:
        bits = [
            base64.b64decode(text, validate=True) for _, text in sorted(case.fingerprint.items())
        ]
    except (BadBase64, ValueError):
        return None
    texts = [base64.b64encode(one).decode("ascii") for one in bits]
    exact = texts == [text for _, text in sorted(case.fingerprint.items())]
    if not exact or any(len(one) != _PRINT for one in bits):
        return None
    try:  # negative ones, and those that are too large, do not fit
        return np.array(case.foreground, dtype=np.uint32), bits
    except OverflowError:
        return None


def _smaller(counts: NDArray[np.uint32]) -> NDArray[np.integer[Any]]:
    """In 16 bits where that holds them, as it does slices of 255 x 255 pixels."""
    return counts.astype(np.uint16) if counts.size and counts.max() < 2**16 else counts
