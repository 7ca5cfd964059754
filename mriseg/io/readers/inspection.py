"""What a case holds, from the headers of its images and the voxels of its segmentation alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mriseg.core.modalities import SEGMENTATION
from mriseg.core.preparation import UNPREPARED, plan
from mriseg.core.volume import Geometry
from mriseg.errors import CaseError, InputError
from mriseg.io import images as containers
from mriseg.io.readers.base import Case, Numbering
from mriseg.io.readers.loading import Grids, errors_of, read_labels


@dataclass(frozen=True)
class CaseFacts:
    """What a case holds.

    Attributes:
        case: its name.
        geometry: of the grid that its images come onto; None where a problem hides it.
        values: the segmentation's own labels -> voxels.
        renamed: the file's own label -> the one that mriseg gives it.
        labelled: whether it has a segmentation that can be read.
        notices: what would be accepted although it is unusual.
        problem: why it could not be read; else empty.
    """

    case: str
    geometry: Geometry | None = None
    values: Mapping[int, int] = field(default_factory=dict)
    renamed: Mapping[int, int] = field(default_factory=dict)
    labelled: bool = False
    notices: tuple[str, ...] = ()
    problem: str = ""


def inspect_case(case: Case, numbering: Numbering) -> CaseFacts:
    """Look into a case, without reading the voxels of an image where a header tells enough.

    Args:
        case: what to look into.
        numbering: what its label values are, as in `mriseg.io.readers.Listing`.
    """
    try:
        if _has_headers(case):
            return _by_headers(case, numbering)
        raw = case.load()
        planned = plan(raw.places, UNPREPARED, raw.labels_on)
    except (InputError, OSError) as error:
        return CaseFacts(
            case.name, problem=error.reason if isinstance(error, CaseError) else str(error)
        )
    return CaseFacts(
        case=case.name,
        geometry=planned.grid,
        values=raw.values,
        renamed=raw.renamed,
        labelled=raw.labels is not None,
        notices=(*raw.notices, *planned.notices),
    )


def _has_headers(case: Case) -> bool:
    return all(len(files) == 1 and containers.is_image(files[0]) for files in case.sources.values())


def _by_headers(case: Case, numbering: Numbering) -> CaseFacts:
    files = {role: paths[0] for role, paths in case.sources.items()}
    known: dict[Path, Geometry] = {}
    grids = Grids()
    with errors_of(case.name):
        for role, path in files.items():
            if role == SEGMENTATION:
                continue
            own = known.setdefault(path, containers.header(path).geometry)
            # An array without memory: only its shape and axes are looked at.
            grids.add(role, np.broadcast_to(np.uint8(0), own.shape), own, path.name)
        places = grids.places
        planned = plan(places, UNPREPARED)
    notices = (*case.notices, *dict.fromkeys(grids.notices), *planned.notices)
    facts = CaseFacts(case.name, planned.grid, notices=notices)
    if SEGMENTATION not in files:
        return facts
    stems = [containers.stem(path) for path in files.values()]
    path = files[SEGMENTATION]
    _, counted, more, _ = read_labels(case.name, path, places, numbering, stems)
    return replace(
        facts,
        values=counted.values,
        renamed=counted.renamed,
        labelled=True,
        notices=(*facts.notices, *more),
    )
