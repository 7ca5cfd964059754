"""Masks for scans: from files or a store, back onto each scan's own grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import replace
from pathlib import Path

from mriseg.core.bids_output import Sessions
from mriseg.core.parts import Part
from mriseg.core.wording import agreeing, counted
from mriseg.errors import InputError, OutputError
from mriseg.events import Notice, Recipe, Wrote
from mriseg.io import nifti
from mriseg.io.disk.atomic import temporary_folder
from mriseg.io.disk.space import check_writable
from mriseg.io.finding import Kind, what_is
from mriseg.io.location import Location
from mriseg.io.model_sources import spoken
from mriseg.io.predictions import read_predictions
from mriseg.io.readers.base import none_usable
from mriseg.io.runs import Manifest, Run
from mriseg.io.store import open_store
from mriseg.io.writers import WRITERS
from mriseg.io.writers.names import file_stems
from mriseg.recipes.about import Heard
from mriseg.recipes.bids_folder import BidsFolder, bids_folder
from mriseg.recipes.case_work import Where, elsewhere
from mriseg.recipes.channels import unfit
from mriseg.recipes.label_files import write_label_files
from mriseg.recipes.loaded import needs_of
from mriseg.recipes.mask_tables import write_tables
from mriseg.recipes.predict_page import page_written
from mriseg.recipes.predict_report import CasePrediction, PredictReport, result_of
from mriseg.recipes.predicted import Masks
from mriseg.recipes.prediction import (
    Prediction,
    PredictOptions,
    ToPredict,
    asked_for,
    refuse_without_dicom,
)
from mriseg.recipes.preparations import preparation_for
from mriseg.recipes.scan_work import some_of
from mriseg.recipes.single_file import naming_channels, with_siblings
from mriseg.recipes.sources import Listed, Source, choose, list_sources
from mriseg.recipes.worker_check import Needs
from mriseg.report.case_views import CaseViews

__all__ = ["CasePrediction", "PredictOptions", "PredictReport", "predict"]

# Names of cases in a notice.
_MAX_LISTED = 10


def predict(
    source: str | Path | Location,
    out: Path,
    run: Run,
    backend: Where,
    options: PredictOptions | None = None,
    *,
    layout: str = "auto",
    channels: Sequence[str] | None = None,
    cases: Sequence[str] | Part | Sessions | None = None,
) -> Recipe[PredictReport]:
    """Predict every case under ``source``. Up to three cases are in memory at a time.

    A mask that this model made of this scan with these settings is kept. One that something else
    made, or that was edited since, stands in the way: its case is skipped, unless
    ``options.overwrite``.

    Args:
        source: a case's folder, a folder of cases, or a store, which may be given by URL.
        out: a folder, created if needed; or, for a single case, a file named .nii or .nii.gz.
        run: the model.
        backend: where to compute, or the workers that do.
        options: None: the defaults.
        layout: of ``source``, as in `mriseg.recipes.preprocess.preprocess`.
        channels: names of the channels, for layouts whose files do not name them.
        cases: only these, a part of them, or some sessions of BIDS; None: all.

    Returns:
        The results. A case that cannot be used is skipped and reported. A part of fewer cases than
        there are parts may be empty.

    Raises:
        InputError: there is no case, or none could be used.
        OutputError: a result cannot be written, or would be written over a scan.
        ConfigError: the model reads none of the modalities that ``options`` name.
        WorkerError: workers are not there, went away, or lack something.
    """
    options, manifest = (options or PredictOptions()).naming(run.manifest), run.manifest
    named = source = Location.of(source)
    if elsewhere(backend):
        source, out = source.absolute, out.absolute()
    preparation, about_it = preparation_for(source, options, manifest)
    listed = list_sources(source, layout, channels, preparation)
    chosen = choose(source, listed.cases, cases)
    if isinstance(cases, Part):
        yield Notice(_share(cases, chosen, listed.cases))
        if not chosen:
            return PredictReport((), ())
    derivative = bids_folder(source, out, listed.cases, manifest.regions, options)
    if options.dicom_seg:
        refuse_without_dicom(chosen)
    targets = _targets(source, out, chosen, manifest, options, derivative)
    # What the names of files and the store's attributes say is reported before anything is read.
    unusable = _unusable(chosen, manifest, options)
    if len(unusable) == len(chosen):
        raise _none_fits(source, out, run, unusable)
    form = derivative.form if derivative else None
    masks, heard = Masks(out, asked_for(named, run, options, preparation, form)), Heard()
    beside = (*listed.notices, *about_it, *_beside(source, out, run, channels))
    listed = Listed(chosen, beside, listed.unused)
    with temporary_folder() as folder:
        work = Prediction(run, options, masks, CaseViews(folder))
        predicting = _predicted(source, listed, targets, work, unusable, backend)
        report = yield from heard.listening(predicting)
        tables = write_tables(work.masks.record)
        for path in tables:
            yield Wrote(path, "table")
        known = read_predictions(work.masks.record)
        if derivative and known.masks:
            yield from derivative.described()
        yield from write_label_files(
            work.masks.record, known, manifest.regions, masks.asked.model.digest
        )
        scans = {masks.key(targets[name]): item for name, item in chosen.items()}
        page = yield from page_written(work, heard, scans)
    return replace(report, page=page, tables=tables)


def _predicted(
    source: Location,
    listed: Listed,
    targets: Mapping[str, Path],
    work: Prediction,
    unusable: Mapping[str, str],
    where: Where,
) -> Recipe[PredictReport]:
    """Predict the listed cases; those that are ``unusable`` are skipped."""
    run, chosen = work.run, listed.cases
    manifest = run.manifest
    regions = ", ".join(manifest.regions)
    yield Notice(f"model {run.path}: {'+'.join(manifest.modalities)} -> {regions}")
    for text in listed.notices:
        yield Notice(text)
    states = {n: work.masks.standing(targets[n], chosen[n]) for n in chosen if n not in unusable}
    records = {name: state.kept for name, state in states.items() if state.kept}
    taken = {name: state.reason for name, state in states.items() if state.reason}
    if records:
        be = agreeing(len(records), "is", "are")
        yield Notice(
            f"{counted(len(records), 'case')} {be} predicted already, by this model with these "
            f"settings: kept"
        )
    skipped: dict[str, str] = {}
    for name, reason in {**unusable, **taken}.items():
        yield from work.skip(name, reason, skipped)
    todo = [name for name in chosen if name not in records and name not in skipped]
    items = [
        ToPredict(n, name, chosen[name], targets[name], work.masks.key(targets[name]))
        for n, name in enumerate(todo)
    ]
    kept = list(records)
    needs = _needs(source, run, items) if elsewhere(where) else Needs()
    records |= yield from work.make(where, items, needs, skipped)
    if not records and not taken:
        raise none_usable(source, skipped)
    work.masks.finish(kept, listed.unused)
    results = [result_of(records[n], targets[n], kept=n in kept) for n in chosen if n in records]
    for text in filter(None, (*_closing(results), work.judge.remark)):
        yield Notice(text)
    return PredictReport(tuple(results), tuple((n, skipped[n]) for n in chosen if n in skipped))


def _needs(source: Location, run: Run, items: Sequence[ToPredict]) -> Needs:
    """What workers have to read; of files a few, from all over."""
    if what_is(source) is Kind.STORE:
        return needs_of(open_store(source), run)
    needs = needs_of(None, run)
    return replace(needs, paths=(*needs.paths, *some_of([item.source for item in items])))


def _unusable(
    cases: Mapping[str, Source], manifest: Manifest, options: PredictOptions
) -> dict[str, str]:
    """The cases that cannot be used, as far as that shows before they are read, and why."""
    reasons = {
        name: unfit(
            case.modalities, manifest, options.modalities, allow_missing=options.allow_missing
        )
        for name, case in cases.items()
    }
    return {name: reason for name, reason in reasons.items() if reason}


def _share(part: Part, chosen: Sized, listed: Sized) -> str:
    return f"part {part}: {len(chosen)} of {counted(len(listed), 'case')}"


def _beside(
    source: Location, out: Path, run: Run, channels: Sequence[str] | None
) -> tuple[str, ...]:
    """What else of a case lies beside the one file that is read of it."""
    if channels is not None or not source.is_local or not source.path.is_file():
        return ()
    return tuple(filter(None, [with_siblings(source.path, out, spoken(run.path))]))


def _none_fits(source: Location, out: Path, run: Run, unfit: Mapping[str, str]) -> InputError:
    error = none_usable(source, unfit)
    if not source.is_local or not source.path.is_file():
        return error
    how = naming_channels(source.path, out, spoken(run.path), run.manifest.modalities)
    return InputError(f"{error}; {how}")


def _closing(results: Sequence[CasePrediction]) -> list[str]:
    """What a user should know of all masks together."""
    empty = [result.case for result in results if result.empty]
    seen = [result.case for result in results if result.trained_on]
    notices = []
    if empty:
        notices.append(
            f"the mask of {len(empty)} of {counted(len(results), 'case')} is empty: "
            f"{_listed(empty)}"
        )
    if seen:
        notices.append(
            f"the model was trained on {len(seen)} of {counted(len(results), 'case')}, so that "
            f"{agreeing(len(seen), 'its mask does', 'their masks do')} not show how good it is on "
            f"others: {_listed(seen)}"
        )
    return notices


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _targets(
    source: Location,
    out: Path,
    cases: Mapping[str, Source],
    manifest: Manifest,
    options: PredictOptions,
    derivative: BidsFolder | None,
) -> dict[str, Path]:
    """The file of each case's mask.

    Raises:
        InputError: ``out`` is one file and there are several cases.
        OutputError: nothing can be written there, or it would be written over a scan.
    """
    if derivative is not None:
        targets = {name: derivative.places[name] for name in cases}
        _check_outputs(out, [*targets.values()], cases)
        return targets
    single = nifti.is_nifti(out)
    if single and len(cases) != 1:
        raise InputError(
            f"{source} holds {len(cases)} cases, and {out} is one file; name a folder instead"
        )
    maps = manifest.regions if options.probabilities else ()
    series = {name for item in cases.values() for name in item.modalities or ()}
    stems = file_stems(cases, maps, series if options.every_series else ())
    suffix = WRITERS["nifti"].suffix
    targets = {name: out if single else out / f"{stems[name]}{suffix}" for name in cases}
    _check_outputs(out, [*targets.values()], cases)
    return targets


def _check_outputs(out: Path, targets: Sequence[Path], cases: Mapping[str, Source]) -> None:
    """Refuse to write over what is read, into a store or a run, or where nothing can be."""
    if what_is(out) in (Kind.STORE, Kind.RUN):
        raise OutputError(f"{out} is a store or a run; name another folder for the masks")
    read = {path.resolve(): path for item in cases.values() for path in item.files}
    for target in targets:
        if target.resolve() in read:
            raise OutputError(
                f"{target} is a scan that is read here, and its mask would take its place; name "
                f"another folder for the masks"
            )
    check_writable(targets[0].parent)
