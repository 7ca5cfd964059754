"""What `mriseg annotate` prepares while a person corrects: masks, and what the cases look like.

All of it is kept in the session's folder, case by case, so that it goes on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from mriseg.backends.base import Backend
from mriseg.core import volume
from mriseg.core.queue import describe
from mriseg.errors import InputError
from mriseg.events import Advanced, Began, Recipe
from mriseg.io import nifti
from mriseg.io.annotations import Described, read_annotation, write_annotation
from mriseg.io.corrections import Correction
from mriseg.io.location import Location
from mriseg.io.predictions import MaskRecord, ModelName, read_predictions, record_path
from mriseg.io.runs import Run
from mriseg.recipes.predict import PredictOptions, predict
from mriseg.recipes.scans import ScanOptions
from mriseg.recipes.sources import Source

PREDICTIONS = "predictions"
"""The folder of the model's masks, in that of a session."""


@dataclass(frozen=True)
class AnnotateSession:
    """What a session is about; where it keeps what.

    Attributes:
        source: the scans.
        out: the session's folder.
        run: the model.
        model: its name and digest.
        cases: by name.
        stems: case -> the stem of its label map.
        who: the person.
        scans: how the scans are read.
    """

    source: Location
    out: Path
    run: Run
    model: ModelName
    cases: Mapping[str, Source]
    stems: Mapping[str, str]
    who: str
    scans: ScanOptions

    @property
    def predictions(self) -> Path:
        """The folder of the model's masks."""
        return self.out / PREDICTIONS

    def records(self) -> dict[str, MaskRecord]:
        """The model's masks as they are recorded, by case.

        Raises:
            OutputError: the record is damaged or of something else.
        """
        masks = read_predictions(record_path(self.predictions)).masks.values()
        return {record.case: record for record in masks if record.case in self.cases}

    def draft(self, case: str, item: Source) -> Correction:
        """A correction of a case by this session's person, now; but for its mask's own facts."""
        return Correction(
            case=case,
            mask=f"{self.stems[case]}.nii.gz",
            source=str(self.source),
            scan=item.scan(),
            model=self.model,
            regions=tuple(self.run.manifest.regions),
            status="corrected",
            who=self.who,
            when=datetime.now().astimezone().isoformat(timespec="seconds"),
            file=None,
            patient=item.patient or case,
        )


def fill_queue(session: AnnotateSession, backend: Backend) -> Recipe[None]:
    """Predict every case and describe it.

    Args:
        session: what it is about.
        backend: where to compute.

    Raises:
        InputError: no case can be used.
        OutputError: something cannot be written.
    """
    options = PredictOptions(probabilities=True, overlays=False)
    work = predict(
        session.source,
        session.predictions,
        session.run,
        backend,
        options,
        layout=session.scans.layout,
        channels=session.scans.for_readers.channels,
    )
    with closing(work):
        for event in work:
            yield event
            # Between two cases, when the memory of neither is held.
            if isinstance(event, Advanced) and event.item and float(event.done).is_integer():
                _describe(session, event.item)
    yield from _describe_others(session)


def _describe_others(session: AnnotateSession) -> Recipe[None]:
    """Describe the cases whose masks were kept and of which nothing is known yet."""
    known_ones = read_annotation(session.out).described
    left = [
        case
        for case, record in session.records().items()
        if case not in known_ones or known_ones[case].mask != record.files[0].sha256
    ]
    if left:
        yield Began("look", len(left), "case")
    for number, case in enumerate(left, start=1):
        _describe(session, case)
        yield Advanced("look", number, item=case)


def _describe(session: AnnotateSession, case: str) -> None:
    """Keep what a case looks like with its mask; nothing where either cannot be read."""
    record = session.records().get(case)
    if record is None:
        return
    try:
        prepared, _ = session.cases[case].load()
        labels, _ = nifti.read(session.predictions / record.mask)
        mask = volume.crop(volume.canonical(labels, prepared.geometry), prepared.box)
    except InputError:
        return  # a mask that was edited or removed meanwhile; the queue then goes without
    numbers = describe(prepared, mask.astype(np.uint8))
    item = Described(case, record.files[0].sha256, numbers)
    write_annotation(session.out, read_annotation(session.out).with_described(item))
