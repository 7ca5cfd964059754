"""One case into a store: what is done to it, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mriseg.core.label_account import in_regions
from mriseg.core.prepare import content_digest
from mriseg.core.regions import Regions
from mriseg.errors import CaseError, InputError
from mriseg.events import Partly
from mriseg.io.disk.known_files import KnownFile
from mriseg.io.readers import Case, RawCase
from mriseg.io.store import CaseAttributes, Store
from mriseg.recipes.labels import (
    checked_labels,
    refuse_brain_mask,
)
from mriseg.recipes.sessions import prepared
from mriseg.recipes.stored import other_scan


@dataclass(frozen=True)
class CaseReport:
    """What became of one case.

    Attributes:
        case: its name.
        status: "written", "kept" (complete in the store already), "skipped", or "refused" (skipped
            since the store has a case of that name from other scans).
        reason: why it was skipped or refused.
        modalities: those it has.
        labelled: whether it has a segmentation.
        shape: stored slices, height and width.
        notices: what was accepted although it is unusual.
        patient: whose scan it is.
        visit: which of the patient's visits; empty where nothing says so.
        labels: the segmentation file's own labels -> voxels; empty for a kept case.
        renamed: the file's own label -> the one in the store, of those that were renumbered.
        voxels: region -> voxels, where there is a segmentation.
    """

    case: str
    status: str
    reason: str = ""
    modalities: tuple[str, ...] = ()
    labelled: bool = False
    shape: tuple[int, ...] = ()
    notices: tuple[str, ...] = ()
    patient: str = ""
    visit: str = ""
    labels: Mapping[int, int] = field(default_factory=dict)
    renamed: Mapping[int, int] = field(default_factory=dict)
    voxels: Mapping[str, int] = field(default_factory=dict)


def write_case(
    store: Store, case: Case, *, own_labels: bool = False, overwrite: bool = False
) -> Partly[CaseReport]:
    """Read, prepare and append one case; a problem with it becomes its report.

    Its scans are brought together as the store's preparation says. Yields what is being done.

    Args:
        store: where to.
        case: what to read.
        own_labels: whether the store's regions are of the files' own labels.
        overwrite: whether it may take the place of another scan's case of its name.
    """
    regions = store.spec.regions
    yield 0.0
    try:
        try:
            loaded = checked_labels(case.load(), regions, own_labels=own_labels)
            ready, together = yield from prepared(loaded, store.spec.preparation)
            if not own_labels:
                refuse_brain_mask(ready, loaded)
            content = content_digest(loaded.images)
            sources = tuple(map(KnownFile.of, case.files))
            stored = None if overwrite else store.stored(case.name)
            if reason := other_scan(stored, case, content, sources):
                return CaseReport(case.name, "refused", reason)
        except CaseError:
            raise
        except (InputError, OSError) as error:
            raise CaseError(case.name, str(error)) from None
        notices = list(together.notices)
        if loaded.labels is not None and not loaded.labels.any():
            notices.append("the segmentation is empty")
        store.append(
            case.name,
            ready,
            patient=case.patient,
            content=content,
            sources=sources,
            notices=notices,
        )
    except CaseError as error:
        return CaseReport(case.name, "skipped", error.reason)
    return CaseReport(
        case=case.name,
        status="written",
        modalities=ready.modalities,
        labelled=ready.labels is not None,
        shape=ready.box.shape,
        notices=tuple(notices),
        patient=case.patient,
        visit=case.visit,
        labels=loaded.values,
        renamed=loaded.renamed,
        voxels=_voxels(loaded, together, regions),
    )


def _voxels(loaded: RawCase, together: RawCase, regions: Regions) -> dict[str, int]:
    """Region -> voxels, on the grid of the store."""
    if loaded.labels is None or together.labels is loaded.labels:
        return dict(in_regions(loaded.values, loaded.renamed, regions))
    counts = np.bincount(np.asarray(together.labels).reshape(-1, order="A"), minlength=256)
    return {name: int(counts[list(labels)].sum()) for name, labels in regions.items()}


def kept(stored: CaseAttributes, regions: Regions) -> CaseReport:
    """The report of a case that is in the store already."""
    voxels = [sum(slices) for slices in zip(*stored.foreground, strict=True)]
    return CaseReport(
        case=stored.name,
        status="kept",
        modalities=stored.modalities,
        labelled=stored.labelled,
        shape=stored.box.shape,
        notices=stored.notices,
        patient=stored.patient,
        voxels=dict(zip(regions, voxels, strict=True)) if stored.labelled else {},
    )
