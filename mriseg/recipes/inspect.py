"""What would be read from a folder, before anything is: the plan of `preprocess` and `predict`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from mriseg.core.drafts import Row
from mriseg.core.keywords import ScanKeywords
from mriseg.core.label_account import CaseLabels, in_regions, label_notices
from mriseg.core.patients import CaseName
from mriseg.core.regions import Regions
from mriseg.errors import InputError
from mriseg.events import Advanced, Began, Notice, Partly, Recipe, Skipped, Wrote
from mriseg.io import readers
from mriseg.io.dicom.headers import is_dicom
from mriseg.io.disk.documents import plain
from mriseg.io.disk.space import check_writable
from mriseg.io.images import is_image
from mriseg.io.readers import Listing, folders
from mriseg.io.readers.base import Case, Numbering
from mriseg.io.readers.inspection import CaseFacts, inspect_case
from mriseg.io.readers.table import NOTES, write_table
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews
from mriseg.recipes.labels import wanted_regions
from mriseg.recipes.pipeline import Outcome
from mriseg.recipes.scan_work import name_of, reading_workers
from mriseg.recipes.scans import ScanOptions


@dataclass(frozen=True)
class InspectedCase:
    """What a case would be read from, and what that holds.

    Attributes:
        case: its name.
        patient: whose scan it is.
        visit: which of the patient's visits; empty where nothing says so.
        files: modality, or "seg" -> the files, relative to the source.
        labels: the segmentation file's own labels -> voxels.
        renamed: the file's own label -> the one in a store.
        voxels: region -> voxels, where there is a segmentation.
        shape: voxels in the file's own axes.
        spacing: of those axes, in ``unit``.
        orientation: which way those axes run, such as "LPS".
        unit: "mm", or "px" where the files state no voxel size.
        series: of DICOM: modality, or "other" -> the series as its header calls it, and what it was
            taken for by what.
        notices: what would be accepted although it is unusual.
        problem: why it would be skipped; else empty.
    """

    case: str
    patient: str
    visit: str
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    labels: Mapping[int, int] = field(default_factory=dict)
    renamed: Mapping[int, int] = field(default_factory=dict)
    voxels: Mapping[str, int] = field(default_factory=dict)
    shape: tuple[int, ...] = ()
    spacing: tuple[float, ...] = ()
    orientation: str = ""
    unit: str = ""
    series: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, repr=False)
class InspectReport(Shown):
    """The plan: every case, and every image-like file that is in none.

    Attributes:
        source: the folder, file or table.
        layout: that it is in.
        regions: region -> labels, as a store would have them.
        cases: by name.
        unused: image-like file, relative to the source -> why no case is read from it.
        notices: what was assumed or noticed about all of them.
    """

    source: str
    layout: str
    regions: Regions
    cases: tuple[InspectedCase, ...]
    unused: Mapping[str, str]
    notices: tuple[str, ...]

    @property
    def refused(self) -> tuple[InspectedCase, ...]:
        """Cases that would be skipped."""
        return tuple(case for case in self.cases if case.problem)

    def to_json(self) -> dict[str, Any]:
        """This report as JSON types."""
        return dict(plain(self))

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.inspected(self)


def inspect(
    source: Path,
    *,
    csv: Path | None = None,
    **scans: Unpack[ScanKeywords],
) -> Recipe[InspectReport]:
    """Look into the scans under ``source`` and write nothing but, on request, a table of cases.

    Args:
        source: the folder of scans, or a table of cases.
        csv: write the plan there, as a table of cases.
        scans: how they are read, the fields of `mriseg.recipes.scans.ScanOptions`.

    Raises:
        InputError: there is no such folder, or no case; or a table cannot name the cases' files.
        OutputError: the table cannot be written.
    """
    if csv is not None:
        check_writable(csv.parent)
    options = ScanOptions(**scans)
    source = options.absolute(source)
    chosen, listing = readers.find(source, options.layout, options.for_readers)
    wanted = wanted_regions(options.regions, listing)
    for notice in listing.notices:
        yield Notice(notice)
    if csv is not None:
        write_table(csv, *_rows(listing), listing.numbering)
        yield Wrote(csv, "table of cases")
    cases = [_refused(listing, name, why, source) for name, why in listing.skipped]
    planned = {case.name: case for case in listing.cases}
    with reading_workers(options.who, listing.cases) as workers:
        yield from map(Notice, workers.notices)
        at_once = max(1, min(workers.at_once, len(listing.cases)))
        yield Began("inspect", len(listing.cases), "case", at_once=at_once)
        look, count = partial(_looked, listing.numbering), 0
        for step in workers.each(look, listing.cases, named=name_of):
            if not isinstance(step, Outcome):
                yield step
                continue
            count += 1
            case = _inspected(planned[step.item.name], step.result, wanted, source)
            cases.append(case)
            if case.problem:
                yield Skipped(case.case, case.problem)
            yield Advanced("inspect", count, item=case.case)
    cases.sort(key=lambda case: case.case)
    about_labels = label_notices(
        [CaseLabels(c.case, c.labels, c.renamed, c.voxels) for c in cases if c.voxels],
        wanted,
        listing.labels,
    )
    for notice in about_labels:
        yield Notice(notice)
    return InspectReport(
        source=folders.text(str(source)),
        layout=chosen,
        regions=wanted,
        cases=tuple(cases),
        unused={_relative(path, source): why for path, why in listing.unused.items()},
        notices=(*listing.notices, *about_labels),
    )


def _looked(numbering: Numbering, case: Case) -> Partly[CaseFacts]:
    """What a case holds, as a worker looks at it."""
    yield 0.0
    return inspect_case(case, numbering=numbering)


def _inspected(case: Case, facts: CaseFacts, regions: Regions, source: Path) -> InspectedCase:
    grid = facts.geometry
    files = {
        role: tuple(_relative(path, source) for path in paths)
        for role, paths in case.sources.items()
    }
    return InspectedCase(
        case=case.name,
        patient=case.patient,
        visit=case.visit,
        files=files,
        labels=facts.values,
        renamed=facts.renamed,
        voxels=in_regions(facts.values, facts.renamed, regions) if facts.labelled else {},
        shape=() if grid is None else grid.shape,
        spacing=() if grid is None else grid.own_spacing,
        orientation="" if grid is None else grid.orientation,
        unit="" if grid is None else grid.unit,
        series=_series(case.notes),
        notices=facts.notices,
        problem=facts.problem,
    )


def _refused(listing: Listing, name: str, why: str, source: Path) -> InspectedCase:
    rows = listing.proposals.get(name, ())
    whose = rows[0].name if rows else CaseName(name, "")
    files: dict[str, tuple[str, ...]] = {}
    for row in rows:
        for role, path in row.files.items():
            shown = _relative(Path(path), source)
            files[role] = tuple(dict.fromkeys((*files.get(role, ()), shown)))
    series = _series(rows[0].notes) if rows else {}
    return InspectedCase(name, whose.patient, whose.visit, files, series=series, problem=why)


def _rows(listing: Listing) -> tuple[list[Row], list[Row]]:
    """Rows of a table of cases: those that are planned, and those that a person has to accept.

    Raises:
        InputError: a file holds several modalities, or a modality is in several files.
    """
    rows = []
    for case in listing.cases:
        files = [path for role in case.sources for path in _standing_for(case.sources[role])]
        if len(set(files)) != len(case.sources) or len(files) != len(case.sources):
            raise InputError(
                f"{case.name} has several modalities in one file, or one in several files, which "
                f"a table of cases cannot name; give the folder itself"
            )
        name = CaseName(case.name, case.patient, case.visit)
        sources = {role: paths[0] for role, paths in case.sources.items()}
        rows.append(Row(name, sources, case.notes))
    proposals = [row for of_case in listing.proposals.values() for row in of_case]
    return rows, proposals


def _series(notes: Mapping[str, str]) -> dict[str, str]:
    return {column.removesuffix(NOTES): text for column, text in notes.items()}


def _standing_for(paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """What a table names of files: of a DICOM series, its first file."""
    is_series = not is_image(paths[0]) and all(map(is_dicom, paths))
    return paths[:1] if is_series else paths


def _relative(path: Path, source: Path) -> str:
    base = source if source.is_dir() else source.parent
    shown = path.relative_to(base) if path.is_relative_to(base) else path
    return folders.text(shown.as_posix())
