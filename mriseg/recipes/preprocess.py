"""A folder of scans into a store.

Cases are independent: each is read, prepared and appended by whichever process is free, and at
most one case per process is in memory. A case that cannot be used is reported and left out; one
that is complete in the store already, from the same files, is not done again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mriseg.core.prepare import content_digest, prepare
from mriseg.core.regions import Regions, join_labels, parse_regions
from mriseg.core.wording import agreeing, counted
from mriseg.errors import CaseError, IncompleteError, InputError
from mriseg.events import Advanced, Began, Notice, Recipe, Skipped, Wrote
from mriseg.io import readers
from mriseg.io import store as stores
from mriseg.io.disk.checksums import sha256, write_sealed_json
from mriseg.io.disk.documents import plain
from mriseg.io.disk.locks import locked
from mriseg.io.location import Location
from mriseg.io.readers import Case, Listing, ReaderOptions
from mriseg.io.readers.base import none_usable
from mriseg.io.store import CaseAttributes, Source, Store, StoreSpec
from mriseg.recipes.workers import default_workers, results


@dataclass(frozen=True)
class CaseReport:
    """What became of one case.

    Attributes:
        case: its name.
        status: "written", "kept" (complete in the store already) or "skipped".
        reason: why it was skipped.
        modalities: those it has.
        labelled: whether it has a segmentation.
        shape: stored slices, height and width.
        notices: what was accepted although it is unusual.
    """

    case: str
    status: str
    reason: str = ""
    modalities: tuple[str, ...] = ()
    labelled: bool = False
    shape: tuple[int, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class PreprocessReport:
    """What `preprocess` did; also in a local store's ``report.json``."""

    store: str
    layout: str
    regions: Regions
    cases: tuple[CaseReport, ...]

    @property
    def skipped(self) -> tuple[CaseReport, ...]:
        """Cases that could not be used."""
        return tuple(case for case in self.cases if case.status == "skipped")

    def to_json(self) -> dict[str, Any]:
        """This report as JSON types."""
        return dict(plain(self))


def preprocess(
    source: Path,
    out: str | Path | Location,
    *,
    layout: str = "auto",
    regions: str | None = None,
    channels: Sequence[str] | None = None,
    workers: int | None = None,
    strict: bool = False,
) -> Recipe[PreprocessReport]:
    """Create or continue the store ``out`` from the scans under ``source``.

    Args:
        source: the folder of scans.
        out: the store, a folder or a URL; one that exists already is added to.
        layout: "auto" or a name in `mriseg.io.readers.READERS`.
        regions: as `mriseg.core.regions.parse_regions` takes them; None: the layout's default,
            which is the whole tumour, or every labelled voxel where labels are of something else.
        channels: names of the channels, for layouts whose files do not name them.
        workers: processes; None: one per core.
        strict: stop at the first case that cannot be used.

    Returns:
        What became of each case. The caller decides what a skipped one means; the command line
        exits with IncompleteError's code.

    Raises:
        InputError: no case was found, or, when strict, one cannot be used.
        OutputError: the store cannot be written, or was made with other settings.
        BusyError: another process is writing the store.
        ConfigError: the regions or the layout are not known.
    """
    options = ReaderOptions(tuple(channels) if channels else None)
    where = Location.of(out)
    chosen, listing = readers.find(source, layout, options)
    default = dict(list(listing.regions.items())[:1])
    wanted = parse_regions(regions, listing.regions) if regions else default
    yield Notice(
        f"{len(listing.cases)} case{'s' * (len(listing.cases) != 1)} in layout {chosen}; "
        f"regions: {', '.join(f'{n} ({_labels(v)})' for n, v in wanted.items())}"
    )
    for text in listing.notices:
        yield Notice(text)
    # What is done before this takes no time, and a folder is not made for a source without cases.
    with locked(where.path, "preprocess") if where.is_local else nullcontext():
        store = stores.create(where, StoreSpec(wanted, dict(listing.labels), chosen))
        store.sweep()
        reports = yield from _filled(store, listing, strict, workers or default_workers())
        report = PreprocessReport(store.location, chosen, store.spec.regions, reports)
        if where.is_local:
            write_sealed_json(where.path / "report.json", report.to_json(), make_folder=False)
            yield Wrote(where.path, "store")
    if len(report.skipped) == len(report.cases):
        raise none_usable(source, {case.case: case.reason for case in report.skipped})
    return report


def _filled(
    store: Store, listing: Listing, strict: bool, workers: int
) -> Recipe[tuple[CaseReport, ...]]:
    """Write the cases that are not in the store yet; gives the reports of all, by name."""
    before = store.cases()
    reports = [CaseReport(name, "skipped", reason) for name, reason in listing.skipped]
    for report in reports:
        if strict:
            raise CaseError(report.case, report.reason)
        yield Skipped(report.case, report.reason)
    todo: list[Case] = []
    for case in listing.cases:
        stored = before.get(case.name)
        # One whose files were lost is done again.
        if stored and _same_files(stored, case) and store.has_files_of(stored):
            reports.append(_kept(stored))
        else:
            todo.append(case)
    kept = len(reports) - len(listing.skipped)
    if kept:
        yield Notice(f"{counted(kept, 'case')} {agreeing(kept, 'is', 'are')} in the store already")

    yield Began("preprocess", len(todo), "case", at_once=max(1, min(workers, len(todo))))
    written = results(partial(write_case, store), todo, workers)
    for count, report in enumerate(written, start=1):
        reports.append(report)
        for text in report.notices:
            yield Notice(f"{report.case}: {text}")
        if report.status == "skipped":
            yield Skipped(report.case, report.reason)
            if strict:
                raise CaseError(report.case, report.reason)
        yield Advanced("preprocess", count, item=report.case)
    return tuple(sorted(reports, key=lambda report: report.case))


def check_complete(report: PreprocessReport) -> None:
    """Raise IncompleteError if a case was skipped."""
    if report.skipped:
        skipped = len(report.skipped)
        message = (
            f"{skipped} of {counted(len(report.cases), 'case')} "
            f"{agreeing(skipped, 'was', 'were')} skipped: "
            f"{', '.join(case.case for case in report.skipped)}"
        )
        if Location.of(report.store).is_local:
            message += f"; the reasons are in {report.store}/report.json"
        raise IncompleteError(message)


def write_case(store: Store, case: Case) -> CaseReport:
    """Read, prepare and append one case; a problem with it becomes its report."""
    try:
        try:
            loaded = case.load()
            prepared = prepare(loaded.images, loaded.labels, loaded.geometry)
            sources = [_source(path) for path in case.files]
        except CaseError:
            raise
        except (InputError, OSError) as error:
            raise CaseError(case.name, str(error)) from None
        notices = list(loaded.notices)
        if loaded.labels is not None and not loaded.labels.any():
            notices.append("the segmentation is empty")
        store.append(
            case.name,
            prepared,
            patient=case.patient,
            content=content_digest(loaded.images),
            sources=sources,
            notices=notices,
        )
    except CaseError as error:
        return CaseReport(case.name, "skipped", error.reason)
    return CaseReport(
        case=case.name,
        status="written",
        modalities=prepared.modalities,
        labelled=prepared.labels is not None,
        shape=prepared.box.shape,
        notices=tuple(notices),
    )


def _same_files(stored: CaseAttributes, case: Case) -> bool:
    """Whether a stored case was read from these files, as they are now, under these names."""
    if [source.name for source in stored.sources] != [path.name for path in case.files]:
        return False
    if not set(stored.modalities) <= set(case.modalities):
        return False
    return all(_unchanged(*pair) for pair in zip(stored.sources, case.files, strict=True))


def _unchanged(source: Source, path: Path) -> bool:
    """By size and time of change; where only the time differs (a copy), by the content."""
    try:
        now = path.stat()
        if now.st_size != source.size:
            return False
        return now.st_mtime_ns == source.modified or sha256(path) == source.sha256
    except (InputError, OSError):
        return False


def _source(path: Path) -> Source:
    now = path.stat()
    return Source(path.name, now.st_size, now.st_mtime_ns, sha256(path))


def _kept(stored: CaseAttributes) -> CaseReport:
    return CaseReport(
        case=stored.name,
        status="kept",
        modalities=stored.modalities,
        labelled=stored.labelled,
        shape=stored.box.shape,
        notices=stored.notices,
    )


def _labels(values: Sequence[int]) -> str:
    return f"label{'s' * (len(values) != 1)} {join_labels(values)}"
