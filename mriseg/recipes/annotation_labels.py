"""Segmentations made elsewhere (``--labels``), taken over as corrections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mriseg.core.modalities import SEGMENTATION
from mriseg.core.preparation import NO_STRIPPER
from mriseg.core.regions import join_labels, label_map, region_masks, region_volumes
from mriseg.errors import CaseError, InputError
from mriseg.events import Advanced, Began, Notice, Recipe, Skipped, completed
from mriseg.io import nifti, readers
from mriseg.io.annotations import known, read_annotation, write_annotation
from mriseg.io.corrections import Correction, Corrections, read_corrections, save_correction
from mriseg.recipes.annotation_queue import AnnotateSession
from mriseg.recipes.evaluate_scans import spelled
from mriseg.recipes.labels import checked_labels
from mriseg.recipes.scans import ScanOptions
from mriseg.recipes.sessions import brought_together


def take_over(session: AnnotateSession) -> Recipe[None]:
    """Record the segmentations of ``--labels`` as corrections made elsewhere.

    One that was taken over and has not changed is left as it is, and so is every case that a
    person of this session has corrected or accepted.

    Raises:
        InputError: no segmentation is of a case.
        OutputError: something cannot be written.
    """
    options = ScanOptions(
        layout=session.scans.layout,
        regions=spelled(session.run.manifest.regions),
        channels=session.scans.channels,
        labels=session.scans.labels,
    )
    _, listing = readers.find(session.source.path, options.layout, options.for_readers)
    for text in listing.notices:
        yield Notice(text)
    for name, reason in listing.skipped:
        yield Skipped(name, reason)
    todo = list(_new(session, listing))
    yield Began("labels", len(todo), "case")
    for number, case in enumerate(todo, start=1):
        try:
            yield from _take_over(session, case, own_labels=listing.numbering == "files")
        except InputError as error:
            reason = error.reason if isinstance(error, CaseError) else str(error)
            yield Skipped(case.name, f"its segmentation: {reason}")
        yield Advanced("labels", number, item=case.name)


def _new(session: AnnotateSession, listing: readers.Listing) -> Iterator[readers.Case]:
    """The cases whose segmentations are to be taken over."""
    recorded = read_corrections(session.out).cases
    taken = read_annotation(session.out).labels
    for case in listing.cases:
        if not case.labelled or case.name not in session.cases:
            continue
        now, before = recorded.get(case.name), taken.get(case.name)
        if (
            now is None
            or now.status == "skipped"
            or now.status == "elsewhere"
            and not (before and before.is_still(_label_file(case)))
        ):
            yield case


def _label_file(case: readers.Case) -> Path:
    return case.sources[SEGMENTATION][0]


def _take_over(session: AnnotateSession, case: readers.Case, *, own_labels: bool) -> Recipe[None]:
    regions = session.run.manifest.regions
    file = known(_label_file(case))
    prepared = replace(session.run.manifest.preparation, strip=NO_STRIPPER)
    as_read = checked_labels(case.load(), regions, own_labels=own_labels)
    loaded, _ = completed(brought_together(as_read, prepared))
    for text in loaded.notices:
        yield Notice(f"{case.name}: {text}")
    if loaded.labels is None:
        raise CaseError(case.name, "it could not be read")
    masks = region_masks(loaded.labels, regions)
    if loaded.labels.any() and not masks.any():
        listed = join_labels(sorted(loaded.values))
        raise CaseError(case.name, f"its labels ({listed}) are of none of {spelled(regions)}")
    labels = label_map(masks, regions)
    draft = session.draft(case.name, session.cases[case.name])
    volumes = region_volumes(labels, regions, loaded.geometry)

    def make(now: Corrections) -> Correction:
        former = now.cases.get(case.name)
        if former is not None and former.status in ("corrected", "accepted"):
            raise CaseError(case.name, f"{former.who} {former.status} it meanwhile, which counts")
        return replace(draft, status="elsewhere", volumes=volumes)

    save_correction(session.out, make, lambda path: nifti.write(path, labels, loaded.geometry))
    write_annotation(session.out, read_annotation(session.out).with_labels(case.name, file))
