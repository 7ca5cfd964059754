"""All that the page can do, without HTTP: look at a case, save, skip, take back."""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Lock
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mriseg.annotation.listing import Queue, is_edited
from mriseg.annotation.opened import OpenedCase
from mriseg.annotation.refusals import RefusedError
from mriseg.core.regions import region_volumes
from mriseg.io import nifti
from mriseg.io.corrections import (
    Correction,
    Corrections,
    save_correction,
    update_corrections,
)
from mriseg.io.disk.known_files import digest_or_none
from mriseg.io.writers.names import probability_ending
from mriseg.recipes.annotation_queue import AnnotateSession
from mriseg.report.drawing import colour

Labels = NDArray[np.uint8]

# Cases that are held in memory: the one that is looked at and those that are next.
_HELD, _AHEAD = 3, 2
_DEFAULT_THRESHOLD = 0.5


class Desk:
    """A session's cases, open and corrected.

    Args:
        session: what it is about.
    """

    def __init__(self, session: AnnotateSession) -> None:
        self.session, self.queue = session, Queue(session)
        self._lock = Lock()
        self._held: dict[str, Future[OpenedCase]] = {}
        self._readers = ThreadPoolExecutor(2, "mriseg-read")

    def close(self) -> None:
        """Read no further case."""
        self._readers.shutdown(wait=False, cancel_futures=True)

    def about(self) -> dict[str, Any]:
        """What is true of all cases."""
        session, manifest = self.session, self.session.run.manifest
        return {
            "model": {"path": session.model.path, "digest": session.model.digest},
            "modalities": list(manifest.modalities),
            "regions": self._regions(),
            "who": session.who,
            "cases": self.queue.rows(),
        }

    def case(self, id_: str) -> dict[str, Any]:
        """A case as it is now."""
        name = self._name(id_)
        opened = self.opened(id_)
        record = self.queue.record(name)
        regions = self.session.run.manifest.regions
        answer = {
            "id": id_,
            "name": name,
            "title": name,
            "modalities": [
                {"name": modality, "window": list(opened.window(modality))}
                for modality in opened.modalities
            ],
            "regions": self._regions(),
            "thresholds": _thresholds(record.settings.get("threshold"), len(regions))
            if record
            else [_DEFAULT_THRESHOLD] * len(regions),
            "has_probabilities": all(self._map(name, region) for region in regions),
            "mm": opened.in_mm,
            "flat": opened.flat,
            **self._state(name),
        }
        self._read_ahead(name)
        return answer

    def image(self, id_: str, modality: str) -> bytes:
        """A modality of a case, as gzipped NIfTI."""
        opened = self.opened(id_)
        if modality not in opened.modalities:
            raise RefusedError(404, f"this case has no modality of that name: {modality[:80]}")
        return opened.image(modality)

    def mask(self, id_: str) -> tuple[bytes, str]:
        """A case's mask as it is now, as gzipped NIfTI, and its revision."""
        name, opened = self._name(id_), self.opened(id_)
        revision = self._revision(name, self.queue.corrections)
        return opened.mask(self._labels(name)), revision

    def probability(self, id_: str, index: int) -> bytes:
        """A region's probability map, as gzipped NIfTI."""
        name, regions = self._name(id_), [*self.session.run.manifest.regions]
        file = self._map(name, regions[index]) if 0 <= index < len(regions) else None
        if file is None:
            raise RefusedError(404, "there is no such probability map")
        values, _ = nifti.read(self.session.predictions / file)
        return self.opened(id_).probability(values)

    def save(
        self, id_: str, status: Literal["corrected", "accepted"], revision: str, content: bytes
    ) -> dict[str, Any]:
        """Record a drawing as a correction, or what is there as accepted.

        Args:
            id_: of the case.
            status: what the person says of it.
            revision: of the mask that the person drew upon.
            content: the drawing; empty: the mask as it is.
        """
        name, opened = self._name(id_), self.opened(id_)
        before = self._labels(name)
        if content:
            labels = opened.written_back(content, before)
            if before is None or not np.array_equal(labels, before):
                status = "corrected"  # what was changed was not only accepted
        elif status == "corrected" or before is None:
            raise RefusedError(422, "there is no mask to accept: draw one, or skip the case")
        else:
            labels = before
        regions = self.session.run.manifest.regions
        volumes = region_volumes(labels, regions, opened.geometry)
        draft = self.session.draft(name, self.session.cases[name])
        seen = self._on_disk(name)

        def make(now: Corrections) -> Correction:
            self._check(name, revision, now, drawn=bool(content))
            former = now.cases.get(name)
            if former is not None and former.status == "corrected" and status == "accepted":
                raise RefusedError(409, f"{former.who} corrected it already", self._state(name))
            return replace(draft, status=status, volumes=volumes)

        save_correction(
            self.session.out,
            make,
            lambda path: nifti.write(path, labels, opened.geometry),
            seen=seen,
        )
        return self._state(name)

    def skip(self, id_: str, revision: str) -> dict[str, Any]:
        """Record that a person left a case out."""
        name = self._name(id_)
        draft = self.session.draft(name, self.session.cases[name])

        def change(now: Corrections) -> Corrections:
            self._check(name, revision, now)
            former = now.cases.get(name)
            if former is not None and former.mask:
                raise RefusedError(
                    409, f"{former.who} {_did(former)} it, which counts", self._state(name)
                )
            return now.with_case(replace(draft, status="skipped", mask=""))

        update_corrections(self.session.out, change)
        return self._state(name)

    def reopen(self, id_: str, revision: str) -> dict[str, Any]:
        """Take a skip or an acceptance back."""
        name = self._name(id_)

        def change(now: Corrections) -> Corrections:
            self._check(name, revision, now)
            former = now.cases.get(name)
            if former is None or former.status not in ("skipped", "accepted"):
                raise RefusedError(
                    409, "only a skip or an acceptance is taken back", self._state(name)
                )
            if former.mask and is_edited(self.session.out, former):
                raise RefusedError(
                    409, "its mask was edited in another program since", self._state(name)
                )
            return now.without_case(name)

        update_corrections(self.session.out, change)
        return self._state(name)

    def opened(self, id_: str) -> OpenedCase:
        """A case that is read, now or before."""
        name = self._name(id_)
        with self._lock:
            # The latest in use is the last to go.
            future = self._held.pop(name, None) or self._readers.submit(self._read, name)
            self._held[name] = future
            for other in list(self._held)[:-_HELD]:
                self._held.pop(other).cancel()
        try:
            return future.result()
        except BaseException:
            with self._lock:
                self._held.pop(name, None)
            raise

    def _read(self, name: str) -> OpenedCase:
        case, _ = self.session.cases[name].load()
        return OpenedCase(case, self.session.run.manifest.regions)

    def _read_ahead(self, name: str) -> None:
        """Read what will be looked at next, so that it is there at once."""
        ahead = [other for other in self.queue.next_open(_AHEAD + 1) if other != name][:_AHEAD]
        with self._lock:
            for other in ahead:
                if other not in self._held and len(self._held) < _HELD:
                    # In front: it goes before what is looked at.
                    self._held = {other: self._readers.submit(self._read, other), **self._held}

    def _name(self, id_: str) -> str:
        name = self.queue.ids.get(id_)
        if name is None:
            raise RefusedError(404, "there is no such case")
        return name

    def _regions(self) -> list[dict[str, Any]]:
        regions = self.session.run.manifest.regions
        return [
            {"name": name, "colour": "#{:02x}{:02x}{:02x}".format(*colour(index)[1])}
            | {"labels": list(labels)}
            for index, (name, labels) in enumerate(regions.items())
        ]

    def _labels(self, name: str) -> Labels | None:
        """A case's label map on the scan's own grid: the correction, or else the prediction."""
        correction, record = self.queue.corrections.cases.get(name), self.queue.record(name)
        if correction is not None and correction.mask:
            path = self.session.out / correction.mask
        elif record is not None:
            path = self.session.predictions / record.mask
        else:
            return None
        labels, _ = nifti.read(path)
        return nifti.integer_labels(labels)

    def _map(self, name: str, region: str) -> str | None:
        """The file of a region's probability map in the folder of predictions."""
        record = self.queue.record(name)
        if record is None:
            return None
        stem = record.mask.removesuffix(".nii.gz")
        wanted = f"{stem}{probability_ending(region)}.nii.gz"
        return wanted if any(file.name == wanted for file in record.files) else None

    def _on_disk(self, name: str) -> str | None:
        """The SHA-256 of a case's corrected mask as it is on the disk."""
        return digest_or_none(self.session.out / f"{self.session.stems[name]}.nii.gz")

    def _revision(self, name: str, now: Corrections) -> str:
        """What a case's mask is at this moment, in a few letters."""
        correction, record = now.cases.get(name), self.queue.record(name)
        if correction is None:
            if record is None:
                return "open"
            return f"open-{digest_or_none(self.session.predictions / record.mask)}"[:24]
        parts = [correction.status, correction.who, correction.when, self._on_disk(name)]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]

    def _check(self, name: str, revision: str, now: Corrections, *, drawn: bool = False) -> None:
        """Refuse what was done to another state of a case than the one that is recorded."""
        current = self._revision(name, now)
        # A prediction that came while someone drew takes nothing from the drawing.
        both_open = revision.startswith("open") and current.startswith("open")
        if revision == current or (drawn and both_open):
            return
        state = self._state(name, now)
        who, when = state["who"], state["when"]
        by = f"{who} saved it at {when}" if who else "it was changed"
        raise RefusedError(409, f"{by} since this page loaded it; nothing was written over", state)

    def _state(self, name: str, now: Corrections | None = None) -> dict[str, Any]:
        now = now or self.queue.corrections
        correction, record = now.cases.get(name), self.queue.record(name)
        volumes = record.volumes if record else {}
        return {
            "revision": self._revision(name, now),
            "status": correction.status if correction else "open",
            "who": correction.who if correction else "",
            "when": correction.when if correction else "",
            "volumes": (correction.volumes if correction and correction.mask else None) or volumes,
        }


def _did(correction: Correction) -> str:
    return "brought a segmentation of" if correction.status == "elsewhere" else correction.status


def _thresholds(given: Any, count: int) -> list[float]:
    """One threshold for each region, of what a record says."""
    values = given if isinstance(given, list) else [given] * count
    fits = len(values) == count and all(isinstance(value, int | float) for value in values)
    return [float(value) for value in values] if fits else [_DEFAULT_THRESHOLD] * count
