"""Which start is best: each way to begin a training, on the same patients, folds, seeds and budget.

What it writes is described in `mriseg.io.comparisons`, and ``compare.png`` and ``report.html``
beside that.

A fold's patients choose nothing: no training of the fold sees them, and without validation the
averaged weights at the end of the training count. A training with a ``result.json`` is not run
again, one that was stopped is resumed, and so is the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mriseg.core.comparison import METHODS, Comparison, Score, chosen_methods, compared
from mriseg.core.config import TrainConfig
from mriseg.core.transfer import Shape
from mriseg.core.transfer import plan as transfer_plan
from mriseg.core.trials import Trial
from mriseg.errors import ConfigError
from mriseg.events import Notice, Recipe, Wrote
from mriseg.io import comparisons, runs
from mriseg.io.disk.locks import locked
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews
from mriseg.recipes.about import Heard, about
from mriseg.recipes.case_work import Where, backend_for
from mriseg.recipes.loaded import lazy_run
from mriseg.recipes.setup import Setup, versions
from mriseg.recipes.trainings import (
    all_scores,
    announced,
    claim,
    common_setup,
    extent,
    planned_trials,
    study_workers,
    unseen,
)
from mriseg.recipes.transfer import shape_of
from mriseg.recipes.trial import Study
from mriseg.report import charts, html
from mriseg.report.pages.comparison import comparison_page, lines


@dataclass(frozen=True)
class CompareOptions:
    """What is compared, and how often.

    Attributes:
        methods: names in `mriseg.core.comparison.METHODS`; scratch is always among them. None: the
            usual five.
        sizes: how many patients train, each a number or "all" that a fold leaves. None: 5, 10 and
            20 where a fold leaves more, and all.
        folds: number of folds that the patients are split into and that are held out in turn.
        rounds: how many of the folds are held out; None: all. One is enough for many patients.
        seeds: how often everything is repeated, with other folds, patients and weights.
        new_head: whether a transfer initialises its head again even where regions have the same
            name.
    """

    methods: tuple[str, ...] | None = None
    sizes: tuple[str, ...] | None = None
    folds: int = 5
    rounds: int | None = None
    seeds: int = 1
    new_head: bool = False


@dataclass(frozen=True, repr=False)
class CompareReport(Shown):
    """The result of a comparison, and where it is written.

    Attributes:
        path: the folder.
        scores: one per case and training.
        comparison: their means, differences and verdicts.
    """

    path: Path
    scores: tuple[Score, ...]
    comparison: Comparison

    @property
    def page(self) -> Path | None:
        """The comparison's page; None where there is none."""
        return overviews.page_in(self.path)

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.compared(self)


def compare(
    store: Store,
    source: Run,
    config: TrainConfig,
    backend: Where,
    options: CompareOptions | None = None,
    *,
    out: Path | None = None,
) -> Recipe[CompareReport]:
    """Train with each method on the same patients and measure it on the same others.

    Args:
        store: of the target task. Patients that the source was trained on are left out.
        source: the run that a transfer starts from.
        config: of each training: epochs or budget are of one training, and its seed is the first.
        backend: where to compute, or the workers that do.
        options: what is compared; None: the defaults.
        out: the folder, new or of this comparison begun before; None: a new one under ``runs/``.

    Raises:
        ConfigError: store, configuration, source and options do not fit; before the first step.
        InputError: a file of ``out`` is damaged, or a case cannot be measured.
        OutputError: ``out`` is taken by something else or cannot be written.
        BusyError: another process is at work there.
        DivergedError: a loss became NaN or infinite.
        WorkerError: workers are not there, went away, or lack something.
    """
    options = options or CompareOptions()
    methods = chosen_methods(options.methods)
    setup, base = _common_setup(store, source, config, methods, options)
    groups, left_out = unseen(setup, source)
    planned = planned_trials(groups, methods, options, base.seed)
    study = Study(
        out=out or runs.fresh_path(runs.RUNS, f"compare-{store.name}", datetime.now()),
        store=store,
        source=lazy_run(source),
        backend=backend_for(backend),
        config=base,
        cases=frozenset(case.name for case in setup.index.cases),
        patients=groups,
        regions=setup.task.regions,
        folds=options.folds,
        new_head=options.new_head,
    )
    with locked(study.out, "compare"):
        claim(study.out, study.plan, "comparison")
        with study_workers(study, backend, planned) as workers:
            said = _announcement(planned, study, options, left_out, workers.notes)
            heard = Heard([*setup.notices, *workers.notices, *said])
            for text in heard.notices:
                yield Notice(text)
            scores = yield from all_scores(study, planned, "compare", workers)
            machine = workers.machine
        comparison = compared(scores)
        comparisons.write_summary(study.out, study.plan, scores, comparison)
        page = _draw(study, comparison, heard, machine)
        yield Wrote(study.out, "compare.json, compare.csv and compare.png")
        yield Wrote(page, "report")
        return CompareReport(study.out, tuple(scores), comparison)


def _common_setup(
    store: Store,
    source: Run,
    config: TrainConfig,
    methods: Sequence[str],
    options: CompareOptions,
) -> tuple[Setup, TrainConfig]:
    """The setup of all trainings, and their configuration up to seed and patients."""
    if config.encoder_weights is not None:
        raise ConfigError("a comparison takes its weights from a run: leave --encoder-weights out")
    if config.transfer is not None:
        raise ConfigError(
            "each method of a comparison says how it transfers: leave --freeze, the other options "
            "of a transfer and [transfer] out"
        )
    if options.seeds < 1:
        raise ConfigError(f"seeds = {options.seeds}: expected at least 1")
    # From scratch too: both sides read the same.
    setup, base = common_setup(store, config, source)
    target = Shape(setup.task.modalities, tuple(setup.task.regions), setup.width)
    for policy in (METHODS[name].transfer for name in methods):
        freeze = policy.freeze if policy else "none"
        transfer_plan(shape_of(source), target, freeze, new_head=options.new_head)
    return setup, base


def _announcement(
    planned: Sequence[Trial],
    study: Study,
    options: CompareOptions,
    left_out: Sequence[str],
    notes: Sequence[str],
) -> list[str]:
    """What will be compared, how long it takes, and how to resume it."""
    methods = list(dict.fromkeys(trial.method for trial in planned))
    factors = {
        "method": len(methods),
        "size": len({trial.size for trial in planned}),
        "fold": options.rounds or options.folds,
        "seed": options.seeds,
    }
    what = (f"{name}: {METHODS[name].what}" for name in methods)
    return announced(study, left_out, [*what, extent(study, planned, factors)], notes)


def _draw(study: Study, comparison: Comparison, heard: Heard, machine: str) -> Path:
    """``compare.png``, Dice over the number of training patients by method; and the page."""
    counts, drawn = lines(comparison)
    title = f"{study.name_of_source} to {study.store.name}"
    charts.dice_against_cases(study.out / "compare.png", counts, drawn, title)
    page = comparison_page(
        comparison,
        about(
            versions(),
            heard=heard,
            settings=study.plan.config,
            machine=machine,
        ),
        source=study.name_of_source,
        store=study.store.name,
        patients=len(study.patients),
        folds=study.folds,
    )
    path = study.out / html.FILE
    html.write(path, page)
    return path
