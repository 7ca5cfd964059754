"""The queue of cases as the page lists it: what is known of each, most worth correcting first."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from mriseg.core.certainty import uncertainty
from mriseg.core.queue import Candidate, order
from mriseg.core.volume import volume_unit
from mriseg.io.annotations import FILE as ANNOTATION
from mriseg.io.annotations import Annotation, read_annotation
from mriseg.io.corrections import FILE as CORRECTIONS
from mriseg.io.corrections import Correction, Corrections, read_corrections
from mriseg.io.disk.known_files import stamp
from mriseg.io.predictions import MaskRecord, Predictions, read_predictions, record_path
from mriseg.recipes.annotation_queue import AnnotateSession

T = TypeVar("T")

_DIGITS = 16
EDITED = "Its mask was edited in another program; the edit counts."


class Kept(Generic[T]):
    """What a file holds, read again only when the file has changed.

    Args:
        path: of the file.
        read: reads it.
    """

    def __init__(self, path: Path, read: Callable[[], T]) -> None:
        self._path, self._read = path, read
        self._lock = threading.Lock()
        self._value: tuple[object, T] | None = None

    def get(self) -> tuple[object, T]:
        """When the file was changed, and what it holds."""
        with self._lock:
            now = stamp(self._path)
            if self._value is None or self._value[0] != now:
                self._value = (now, self._read())
            return self._value


class Queue:
    """The cases of a session, in their order.

    Only what is known of each case is held, and no voxel.
    """

    def __init__(self, session: AnnotateSession) -> None:
        self._session = session
        out, record = session.out, record_path(session.predictions)
        self._corrections = Kept(out / CORRECTIONS, lambda: read_corrections(out))
        self._predictions = Kept(record, lambda: read_predictions(record))
        self._annotation = Kept(out / ANNOTATION, lambda: read_annotation(out))
        self._order: tuple[object, list[str]] = (None, [])
        self.ids = {_id(name): name for name in session.cases}

    @property
    def corrections(self) -> Corrections:
        """What is recorded now."""
        return self._corrections.get()[1]

    def record(self, name: str) -> MaskRecord | None:
        """Of the model's mask of a case, if it is made and of this model."""
        return self._records(self._predictions.get()[1]).get(name)

    def patients_done(self) -> int:
        """How many patients have a case with a correction."""
        return len({item.patient for item in self.corrections.cases.values() if item.mask})

    def order(self) -> list[str]:
        """The cases: those to look at, those not yet predicted, then those that are done."""
        first, corrections = self._corrections.get()
        second, predictions = self._predictions.get()
        third, annotation = self._annotation.get()
        if self._order[0] != (first, second, third):
            ordered = self._ordered(corrections, predictions, annotation)
            self._order = ((first, second, third), ordered)
        return self._order[1]

    def next_open(self, count: int) -> list[str]:
        """The first cases that nobody has looked at and that have a mask."""
        corrections = self.corrections.cases
        ready = self._records(self._predictions.get()[1])
        names = [name for name in self.order() if name not in corrections and name in ready]
        return names[:count]

    def rows(self) -> list[dict[str, Any]]:
        """What the page lists, in the order of the queue."""
        predictions, corrections = self._predictions.get()[1], self.corrections
        records = self._records(predictions)
        skipped = {case.case: case.reason for case in predictions.skipped}
        ids = {name: id_ for id_, name in self.ids.items()}
        return [
            self._row(ids[name], name, rank, records.get(name), skipped.get(name, ""), corrections)
            for rank, name in enumerate(self.order())
        ]

    def _row(
        self,
        id_: str,
        name: str,
        rank: int,
        record: MaskRecord | None,
        skipped: str,
        corrections: Corrections,
    ) -> dict[str, Any]:
        correction = corrections.cases.get(name)
        patient = self._session.cases[name].patient or name
        flags = [*(record.flags if record else ()), *([skipped] if skipped and not record else [])]
        if correction is not None and is_edited(self._session.out, correction):
            flags.insert(0, EDITED)
        volumes = correction.volumes if correction and correction.mask else None
        return {
            "id": id_,
            "name": name,
            "patient": patient,
            "rank": rank,
            "uncertainty": None if record is None else round(uncertainty(record), 4),
            "dice": _dice(record),
            "volumes": volumes or (record.volumes if record else {}),
            "unit": volume_unit(record.unit) if record else "mL",
            "flags": flags,
            "status": correction.status if correction else "open",
            "who": correction.who if correction else "",
            "when": correction.when if correction else "",
            "held_out": patient in corrections.held_out,
        }

    def _records(self, predictions: Predictions) -> dict[str, MaskRecord]:
        digest = self._session.model.digest
        return {
            record.case: record
            for record in predictions.masks.values()
            if record.model.digest == digest and record.case in self._session.cases
        }

    def _ordered(
        self, corrections: Corrections, predictions: Predictions, annotation: Annotation
    ) -> list[str]:
        records = self._records(predictions)
        ready = candidates(records, annotation)
        looked_at = set(corrections.cases)
        first = order(
            [case for case in ready if case.name not in looked_at],
            [case for case in ready if case.name in looked_at],
        )
        names = sorted(self._session.cases)
        waiting = [name for name in names if name not in looked_at and name not in records]
        done = [name for name in names if name in looked_at]
        return [*first, *waiting, *done]


def candidates(records: Mapping[str, MaskRecord], annotation: Annotation) -> list[Candidate]:
    """The predicted cases for the order; one that is not described yet is as any other."""
    described = {case: item.numbers for case, item in annotation.described.items()}
    width = max(map(len, described.values()), default=0)
    unknown = (float("nan"),) * width
    listed = []
    for case, record in records.items():
        numbers = described.get(case, unknown)
        fits = len(numbers) == width
        listed.append(Candidate(case, uncertainty(record), numbers if fits else unknown))
    return listed


def is_edited(folder: Path, correction: Correction) -> bool:
    """Whether a label map was edited; its bytes are read only where its time says that it may be.

    Args:
        folder: of the corrections.
        correction: of one case.
    """
    path = folder / correction.mask
    return correction.file is not None and path.exists() and not correction.file.is_still(path)


def _dice(record: MaskRecord | None) -> float | None:
    """The predicted Dice, the mean of the regions, where it is known for all."""
    known = [] if record is None else [region.dice for region in record.certainty.values()]
    values = [value for value in known if value is not None]
    return round(sum(values) / len(values), 4) if values and len(values) == len(known) else None


def _id(name: str) -> str:
    """What a case is called in addresses: no name can lead anywhere else."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
