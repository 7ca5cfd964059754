"""A folder of scans into a store.

Cases are independent: each is read, prepared and appended by whichever process is free, and at
most one case per process is in memory. A case that cannot be used is reported and left out; one
that is complete in the store already, from the same files, is not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from mriseg.core.keywords import ScanKeywords
from mriseg.core.label_account import CaseLabels, label_notices
from mriseg.core.preparation import UNPREPARED, Preparation
from mriseg.core.regions import Regions, described
from mriseg.core.wording import agreeing, counted
from mriseg.errors import CaseError
from mriseg.events import Advanced, Began, Doing, Event, Notice, Partly, Recipe, Skipped, Wrote
from mriseg.io import readers
from mriseg.io import store as stores
from mriseg.io.disk.checksums import sealed_json, write_sealed_json
from mriseg.io.disk.documents import plain
from mriseg.io.disk.locks import locked
from mriseg.io.disk.shared import Workroom
from mriseg.io.location import Location
from mriseg.io.readers import Case, Listing, folders
from mriseg.io.readers.account import short_account
from mriseg.io.readers.base import none_usable
from mriseg.io.store import Store, StoreSpec
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews
from mriseg.recipes.about import Heard
from mriseg.recipes.case_work import Workers, elsewhere
from mriseg.recipes.case_writing import CaseReport, kept, write_case
from mriseg.recipes.labels import (
    means_own_labels,
    wanted_regions,
)
from mriseg.recipes.pipeline import Outcome
from mriseg.recipes.scan_work import name_of, writing_workers
from mriseg.recipes.scans import ScanOptions
from mriseg.recipes.sessions import check_preparation
from mriseg.recipes.store_page import write_page
from mriseg.recipes.stored import is_same

_Write = Callable[[Case], Partly[CaseReport]]

__all__ = ["CaseReport", "PreprocessReport", "preprocess", "write_case"]


@dataclass(frozen=True, repr=False)
class PreprocessReport(Shown):
    """What `preprocess` did; also in the store's ``report.json``.

    Attributes:
        store: where it is.
        layout: of the scans.
        regions: region -> labels.
        cases: what became of each.
        unused: every image-like file that no case is read from -> why.
        notices: what was assumed or noticed about all of them.
    """

    store: str
    layout: str
    regions: Regions
    cases: tuple[CaseReport, ...]
    unused: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    @property
    def skipped(self) -> tuple[CaseReport, ...]:
        """Cases that could not be used, or were refused."""
        return tuple(case for case in self.cases if case.status in ("skipped", "refused"))

    @property
    def file(self) -> Path | None:
        """Where the report is kept; None for a store at a URL."""
        where = Location.of(self.store)
        return where.path / "report.json" if where.is_local else None

    def to_json(self) -> dict[str, Any]:
        """This report as JSON types."""
        return dict(plain(self))

    @property
    def page(self) -> Path | None:
        """The store's page; None where there is none."""
        return overviews.page_in(self.file.parent) if self.file else None

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.preprocessed(self)


def preprocess(
    source: Path,
    out: str | Path | Location,
    *,
    strict: bool = False,
    overwrite: bool = False,
    preparation: Preparation = UNPREPARED,
    **scans: Unpack[ScanKeywords],
) -> Recipe[PreprocessReport]:
    """Create or continue the store ``out`` from the scans under ``source``.

    Args:
        source: the folder of scans, or a table of cases.
        out: the store, a folder or a URL; one that exists already is added to.
        strict: stop at the first case that cannot be used.
        overwrite: replace a stored case by one of the same name from other scans; else that one
            is refused. One whose segmentation changed is written again in any case.
        preparation: what is done to the scans of each session; a store has one.
        scans: how they are read, the fields of `mriseg.recipes.scans.ScanOptions`.

    Returns:
        What became of each case. The caller decides what a skipped one means; the command line
        exits with IncompleteError's code.

    Raises:
        InputError: no case was found, or, when strict, one cannot be used.
        OutputError: the store cannot be written, or was made with other settings.
        BusyError: another process is writing the store.
        ConfigError: the regions or the layout are not known, or a library is missing.
        WorkerError: workers are not there, went away, or lack something.
    """
    options = ScanOptions(**scans)
    check_preparation(preparation)
    where, source = Location.of(out), options.absolute(source)
    where = where.absolute if elsewhere(options.who) else where
    chosen, listing = readers.find(source, options.layout, options.for_readers)
    wanted = wanted_regions(options.regions, listing)
    notices = [_summary(listing, chosen, wanted), *listing.notices]
    if means_own_labels(options.regions):
        notices.append("labels are taken as the files have them; none is renumbered")
    notices += short_account(listing.unused, source)
    for text in notices:
        yield Notice(text)
    # What is done before this takes no time, and a folder is not made for a source without cases.
    with (
        locked(where.path, "preprocess") if where.is_local else nullcontext(),
        stores.kept_if_filled(where),
    ):
        store = stores.create(where, StoreSpec(wanted, dict(listing.labels), chosen, preparation))
        store.sweep()
        write = partial(
            write_case, store, own_labels=listing.numbering == "files", overwrite=overwrite
        )
        reports = yield from _filled(store, listing, strict, options.who, write)
        store.update_index()
        about_labels = label_notices(map(_case_labels, _labelled(reports)), wanted, listing.labels)
        for text in about_labels:
            yield Notice(text)
        report = PreprocessReport(
            store=store.location,
            layout=chosen,
            regions=store.spec.regions,
            cases=reports,
            unused={folders.text(str(path)): why for path, why in listing.unused.items()},
            notices=(*notices, *about_labels),
        )
        if not where.is_local:
            store.write_report(sealed_json(report.to_json()))
        else:
            write_sealed_json(where.path / "report.json", report.to_json(), make_folder=False)
            if len(report.skipped) < len(report.cases):
                yield Wrote(where.path, "store")
            skipped = [(case.case, case.reason) for case in report.skipped]
            heard = Heard([*report.notices, *_said(report)], skipped)
            if page := write_page(store, where.path, heard, report.unused):
                yield Wrote(page, "report")
    if all(case.status == "skipped" for case in report.cases):
        raise none_usable(source, {case.case: case.reason for case in report.skipped})
    return report


def _said(report: PreprocessReport) -> list[str]:
    return [f"{case.case}: {text}" for case in report.cases for text in case.notices]


def _summary(listing: Listing, layout: str, regions: Regions) -> str:
    patients = len({case.patient for case in listing.cases})
    labelled = sum(case.labelled for case in listing.cases)
    whose = f" of {counted(patients, 'patient')}" if patients != len(listing.cases) else ""
    some = f", {labelled} with a segmentation" if 0 < labelled < len(listing.cases) else ""
    return (
        f"{counted(len(listing.cases), 'case')}{whose} in layout {layout}{some}; "
        f"{_targets(listing, regions)}"
    )


def _labelled(reports: Sequence[CaseReport]) -> list[CaseReport]:
    return [
        report for report in reports if report.labelled and report.status in ("written", "kept")
    ]


def _case_labels(report: CaseReport) -> CaseLabels:
    return CaseLabels(report.case, report.labels, report.renamed, report.voxels)


def _filled(
    store: Store, listing: Listing, strict: bool, who: Workers, write: _Write
) -> Recipe[tuple[CaseReport, ...]]:
    """Write the cases that are not in the store yet; gives the reports of all, by name."""
    before = store.cases()
    yield from map(Notice, store.remarks())
    reports = [CaseReport(name, "skipped", reason) for name, reason in listing.skipped]
    for report in reports:
        if strict:
            raise CaseError(report.case, report.reason)
        yield Skipped(report.case, report.reason)
    todo: list[Case] = []
    sizes = store.sizes() if before else {}
    for case in listing.cases:
        stored = before.get(case.name)
        # One whose files were lost is done again.
        if stored and is_same(stored, case) and store.has_files_of(stored, sizes):
            reports.append(kept(stored, store.spec.regions))
        else:
            todo.append(case)
    if count := len(reports) - len(listing.skipped):
        be = agreeing(count, "is", "are")
        yield Notice(f"{counted(count, 'case')} {be} in the store already")
    reports += yield from _made(store, todo, strict, who, write)
    return tuple(sorted(reports, key=lambda report: report.case))


def _made(
    store: Store,
    todo: Sequence[Case],
    strict: bool,
    who: Workers,
    write: _Write,
) -> Recipe[list[CaseReport]]:
    """Write cases; gives their reports, in the order in which they are done."""
    reports: list[CaseReport] = []
    with writing_workers(who, todo, Location.of(store.location)) as (workers, room):
        yield from map(Notice, workers.notices)
        yield Began(
            "preprocess", len(todo), "case", at_once=max(1, min(workers.at_once, len(todo)))
        )
        for step in workers.each(partial(_written, write, room), todo, _doing, name_of):
            if not isinstance(step, Outcome):
                yield step
                continue
            report = step.result
            reports.append(report)
            yield from (Notice(f"{report.case}: {text}") for text in report.notices)
            if report.reason:
                yield Skipped(report.case, report.reason)
                if strict:
                    raise CaseError(report.case, report.reason)
            yield Advanced("preprocess", len(reports), item=report.case)
    return reports


def _doing(number: int, case: Case, share: float) -> Event | None:
    """What is being done to a case, where it has a name."""
    if not isinstance(share, Doing):
        return None
    return Advanced("preprocess", number + share, item=f"{case.name}: {share.what}")


def _written(write: _Write, room: Workroom | None, case: Case) -> Partly[CaseReport]:
    """Write a case, as a worker does it."""
    with room.alone(case.name) if room is not None else nullcontext():
        return (yield from write(case))


def _targets(listing: Listing, wanted: Regions) -> str:
    if not any(case.labelled for case in listing.cases):
        return "no case is labelled"
    return f"regions: {', '.join(f'{name} ({described(v)})' for name, v in wanted.items())}"
