"""How good masks are, patient by patient, in 3-D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from mriseg.core.metrics import CaseScores
from mriseg.core.regions import Regions
from mriseg.core.sampling import VolumeIndex
from mriseg.core.showcase import showcase
from mriseg.core.wording import agreeing, counted
from mriseg.errors import ConfigError, InputError
from mriseg.events import Advanced, Began, Notice, Recipe, Skipped, Wrote
from mriseg.io.disk.atomic import temporary_folder
from mriseg.io.disk.space import check_writable
from mriseg.io.model_sources import spoken
from mriseg.io.runs import Manifest, Run
from mriseg.io.store import Store
from mriseg.recipes.case_work import CaseWorkers, Where, case_workers, elsewhere, partly
from mriseg.recipes.evaluate_page import page_written
from mriseg.recipes.loaded import loaded, needs_of, reachable
from mriseg.recipes.measurement import MeasuredCase, Measurement
from mriseg.recipes.pipeline import Outcome
from mriseg.recipes.prediction import PredictOptions
from mriseg.recipes.preparations import differences
from mriseg.recipes.scores import EvaluateReport, case_event, reported
from mriseg.report import gallery
from mriseg.report.case_views import CaseViews
from mriseg.report.gallery import Views
from mriseg.report.pictures import grid

# Slices of this many cases are kept for the picture; of more, those shown are segmented once more.
_KEPT = 32

# What of the options a score depends on.
_PREDICTION = (
    "threshold",
    "min_component_share",
    "min_volume",
    "flips",
    "adapt",
    "refine",
    "modalities",
)


def evaluate(
    store: Store,
    run: Run,
    backend: Where,
    *,
    options: PredictOptions | None = None,
    include_seen: bool = False,
    cases: Sequence[str] | None = None,
    out: Path | None = None,
    pictures: bool = True,
) -> Recipe[EvaluateReport]:
    """Predict the labelled cases of ``store`` and measure the masks.

    Cases that the run, or one that it was transferred from, was trained on (by name, patient or
    the same voxels) are left out unless ``include_seen``. A run's validation cases are in: they
    chose the best epoch and the threshold, so they are slightly flattered.

    Args:
        store: of cases with segmentations.
        run: the model.
        backend: where to compute, or the workers that do.
        options: how masks are made; None: the defaults.
        include_seen: measure training cases as well, labelled as such.
        cases: only these.
        out: a folder for ``cases.csv``, ``summary.csv``, ``evaluation.json`` and ``report.html``;
            None: no files.
        pictures: also ``dice.png``, a point per case, ``cases.png``, a slice each of the best, the
            median and the worst cases, and each case's volumes on the page.

    Raises:
        InputError: there is nothing to measure, or the store lacks the model's regions.
        WorkerError: workers are not there, went away, or lack something.
    """
    options, manifest = (options or PredictOptions()).naming(run.manifest), run.manifest
    regions = _regions_of(store, run)
    index = store.index()
    chosen = choose_cases(store, index, manifest, cases=cases, include_seen=include_seen)
    for text in (*chosen.notices, *differences(store.spec.preparation, manifest.preparation)):
        yield Notice(text)
    _check_modalities(store, index.only(chosen.names), manifest, options)
    if out is not None:
        check_writable(out)
    looks = out is not None and pictures
    needs = needs_of(store, run) if elsewhere(backend) else None
    with temporary_folder() as folder, case_workers(backend, len(chosen.names), needs) as workers:
        yield from map(Notice, workers.notices)
        views = CaseViews(folder)
        reached, model = reachable(store, backend), loaded(run, options)
        packs = looks and not views.absent
        how = Measurement(reached, model, workers.backend, options, regions, looks, packs)
        results = yield from _measured(workers, how, chosen.names, views)
        settings = options.resolved(run.calibration())
        result = EvaluateReport(
            tuple(results.scores),
            (),
            chosen.seen,
            tuple(results.skipped),
            prediction={
                "model": spoken(run.path),
                "store": store.name,
                **{k: getattr(settings, k) for k in _PREDICTION},
            },
            notices=chosen.notices,
        )
        report = yield from reported(result, out, pictures=pictures)
        if out is not None:
            if looks:
                path = out / "cases.png"
                yield from _showcase(path, run, workers, how, report, results.slices)
            yield from page_written(
                report,
                out,
                model=spoken(run.path),
                machine=workers.machine,
                said=results.said,
                volumes=views if looks else None,
            )
    return report


@dataclass
class _Results:
    """Of all cases, in their order.

    Attributes:
        scores: of those that could be measured.
        skipped: (case, reason) of the others.
        said: of any.
        slices: of the first cases, for the picture.
    """

    scores: list[CaseScores] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    slices: dict[str, Views] = field(default_factory=dict)


def _measured(
    workers: CaseWorkers, how: Measurement, names: Sequence[str], views: CaseViews
) -> Recipe[_Results]:
    """Measure cases; this process has at most three in memory at a time, a worker one.

    Raises:
        InputError: none could be measured.
    """
    by_name: dict[str, MeasuredCase] = {}
    slices: dict[str, Views] = {}
    yield Began("evaluate", len(names), "case", at_once=min(workers.at_once, len(names)))
    for step in workers.each(how.stages, names, partly("evaluate"), lambda name: f"case {name}"):
        if not isinstance(step, Outcome):
            yield step
            continue
        name, measured = step.item, step.result
        by_name[name] = replace(measured, slices=None, view=None)
        if measured.problem:
            yield Skipped(name, measured.problem)
        else:
            yield from (Notice(f"{name}: {text}") for text in measured.notices)
            if measured.slices is not None and len(slices) < _KEPT:
                slices[name] = measured.slices
            if measured.view is not None:
                views.keep(name, measured.view)
            yield from (case_event(row) for row in measured.scores)
        yield Advanced("evaluate", len(by_name), item=name)
    results = _Results(slices=slices)
    for name in names:
        measured = by_name[name]
        if measured.problem:
            results.skipped.append((name, measured.problem))
        results.scores += measured.scores
        results.said += (f"{name}: {text}" for text in measured.notices)
    if not results.scores:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in results.skipped)
        raise InputError(f"no case of {how.store.location} could be measured: {reasons}")
    return results


@dataclass(frozen=True)
class ChosenCases:
    """Which cases an evaluation measures.

    Attributes:
        names: of those.
        seen: labelled cases that the model was trained on, measured or not.
        notices: what the user should know of the choice.
    """

    names: tuple[str, ...]
    seen: tuple[str, ...]
    notices: tuple[str, ...]


def choose_cases(
    store: Store,
    index: VolumeIndex,
    manifest: Manifest,
    *,
    cases: Sequence[str] | None = None,
    include_seen: bool = False,
) -> ChosenCases:
    """The labelled cases of a store that a model can be measured on.

    Args:
        store: for messages.
        index: of the store.
        manifest: of the model.
        cases: only these; None: all.
        include_seen: those that it was trained on as well.

    Raises:
        InputError: there is none.
    """
    labelled = [case for case in index.cases if case.labelled]
    if cases is not None:
        if not cases:
            raise InputError("no case is named; leave --cases out for all of them")
        lacking = set(cases) - {case.name for case in labelled}
        if lacking:
            raise InputError(
                f"{store.location} holds no labelled case {', '.join(sorted(lacking))}"
            )
        labelled = [case for case in labelled if case.name in cases]
    seen = manifest.seen_among(labelled)
    names = tuple(case.name for case in labelled if include_seen or case.name not in seen)
    notices = []
    if seen:
        fate = "measured too, and labelled so" if include_seen else "left out"
        be = agreeing(len(seen), "is", "are")
        notices.append(f"{counted(len(seen), 'case')} that the model was trained on {be} {fate}")
    notices += filter(None, seen.values())
    if not names:
        raise InputError(
            f"{store.location} holds no labelled case that the model was not trained on; "
            f"--include-seen measures those"
        )
    held = [name for name in names if manifest.validated_on(name)]
    if held:
        be, cases_held = agreeing(len(held), "is", "are"), counted(len(held), "validation case")
        notices.append(
            f"among the {len(names)} measured {be} the run's {cases_held}, which chose its best "
            f"epoch and so {be} slightly flattered"
        )
    return ChosenCases(names, tuple(seen), tuple(notices))


def _check_modalities(
    store: Store, chosen: VolumeIndex, manifest: Manifest, options: PredictOptions
) -> None:
    """Refuse a modality that no case has and that the model never saw missing."""
    if options.modalities is not None or manifest.incomplete or options.allow_missing:
        return
    lacking = set(manifest.modalities).difference(*(case.modalities for case in chosen.cases))
    if lacking:
        kept = [name for name in manifest.modalities if name not in lacking]
        raise InputError(
            f"no case to measure in {store.location} has {', '.join(sorted(lacking))}, and "
            f"the model never saw a case without; to measure it all the same, name the "
            f"others: --modalities {','.join(kept) or '(none is left)'}"
        )


def _showcase(
    path: Path,
    run: Run,
    workers: CaseWorkers,
    how: Measurement,
    report: EvaluateReport,
    slices: dict[str, Views],
) -> Recipe[None]:
    """Draw the best, the median and the worst cases."""
    shown = showcase(report.scores)
    lacking = list(dict.fromkeys(item.case for item in shown if item.case not in slices))
    for step in workers.each(replace(how, packs=False).of, lacking):
        if isinstance(step, Outcome) and step.result.slices is not None:
            slices[step.item] = step.result.slices
    title = f"{run.name}: {counted(shown[0].of, 'case')} by mean Dice"
    rows = gallery.rows(shown, slices, report.seen)
    grid(path, rows, run.manifest.modalities, tuple(how.regions), title)
    yield Wrote(path, "picture")


def _regions_of(store: Store, run: Run) -> Regions:
    """The model's regions as the store defines them, or, failing that, by the model's labels."""
    known = store.spec.regions
    lacking = [name for name in run.manifest.regions if name not in known]
    if lacking:
        raise ConfigError(
            f"the model segments {', '.join(run.manifest.regions)} and {store.location} has "
            f"{', '.join(known)}: there is nothing to compare {', '.join(lacking)} with. If the "
            f"segmentations of its scans hold the same structures, preprocess them into another "
            f"store with --regions {','.join(run.manifest.regions)}"
        )
    return {name: known[name] for name in run.manifest.regions}
