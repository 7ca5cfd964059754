"""Which start is best: each way to begin a training, on the same patients, folds, seeds and budget.

What it writes is described in `mriseg.io.comparisons`, and ``compare.png`` and ``report.html``
beside that.

A fold's patients choose nothing: no training of the fold sees them, and without validation the
averaged weights at the end of the training count. A training with a ``result.json`` is not run
again, one that was stopped is resumed, and so is the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mriseg.backends import describe
from mriseg.backends.base import Backend
from mriseg.core.comparison import METHODS, Comparison, Score, chosen_methods, compared
from mriseg.core.config import TrainConfig
from mriseg.core.sampling import CaseEntry, patients
from mriseg.core.transfer import Shape
from mriseg.core.transfer import plan as transfer_plan
from mriseg.core.trials import Trial, trials
from mriseg.errors import ConfigError, OutputError
from mriseg.events import Advanced, Began, Event, Measured, Notice, R, Recipe, Wrote
from mriseg.io import comparisons, runs
from mriseg.io.comparisons import Plan
from mriseg.io.disk.atomic import is_free
from mriseg.io.disk.locks import locked
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews
from mriseg.recipes.about import Heard, about, machine_of
from mriseg.recipes.setup import Setup, plan_training, versions
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
    backend: Backend,
    options: CompareOptions | None = None,
    *,
    out: Path | None = None,
) -> Recipe[CompareReport]:
    """Train with each method on the same patients and measure it on the same others.

    Args:
        store: of the target task. Patients that the source was trained on are left out.
        source: the run that a transfer starts from.
        config: of each training: epochs or budget are of one training, and its seed is the first.
        backend: where to compute.
        options: what is compared; None: the defaults.
        out: the folder, new or of this comparison begun before; None: a new one under ``runs/``.

    Raises:
        ConfigError: store, configuration, source and options do not fit; before the first step.
        InputError: a file of ``out`` is damaged, or a case cannot be measured.
        OutputError: ``out`` is taken by something else or cannot be written.
        BusyError: another process is at work there.
        DivergedError: a loss became NaN or infinite.
    """
    options = options or CompareOptions()
    methods = chosen_methods(options.methods)
    setup, base = _common_setup(store, source, config, methods, options)
    groups, left_out = _unseen(setup, source)
    planned = trials(
        [case for group in groups for case in group],
        methods,
        sizes=options.sizes,
        count=options.folds,
        rounds=options.rounds,
        seeds=range(base.seed, base.seed + options.seeds),
    )
    study = Study(
        out=out or runs.fresh_path(runs.RUNS, f"compare-{store.name}", datetime.now()),
        store=store,
        source=source,
        backend=backend,
        config=base,
        cases=frozenset(case.name for case in setup.index.cases),
        patients=groups,
        regions=setup.task.regions,
        folds=options.folds,
        new_head=options.new_head,
    )
    with locked(study.out, "compare"):
        _claim(study.out, study.plan)
        heard = Heard([*setup.notices, *_announcement(planned, study, options, left_out)])
        for text in heard.notices:
            yield Notice(text)
        scores = yield from _run_all(study, planned)
        comparison = compared(scores)
        comparisons.write_summary(study.out, study.plan, scores, comparison)
        page = _draw(study, comparison, heard)
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
    base = config.model_copy(update={"validation": 0.0, "validation_cases": None})
    # From scratch too: both sides read the same.
    setup = plan_training(store, base, source=source.manifest.modalities)
    target = Shape(setup.task.modalities, tuple(setup.task.regions), config.width)
    for policy in (METHODS[name].transfer for name in methods):
        freeze = policy.freeze if policy else "none"
        transfer_plan(shape_of(source), target, freeze, new_head=options.new_head)
    fixed = {"modalities": setup.task.modalities, "regions": tuple(setup.task.regions)}
    return setup, base.model_copy(update=fixed)


def _unseen(setup: Setup, source: Run) -> tuple[list[list[CaseEntry]], list[str]]:
    """Cases by patient, without the patients that shaped the source; and those cases' names."""
    groups = patients(setup.index.cases)
    names = source.manifest.seen_among(setup.index.cases)
    seen = [group for group in groups if any(case.name in names for case in group)]
    kept = [group for group in groups if group not in seen]
    if len(kept) < 2:
        raise ConfigError(
            f"{source.name} was trained on {len(seen)} of the store's {len(groups)} patients, so "
            f"that there are too few to compare on; transfer to other patients"
        )
    return kept, sorted(case.name for group in seen for case in group)


def _claim(out: Path, plan: Plan) -> None:
    """Take ``out`` for this comparison, or make sure that it already belongs to it."""
    earlier = comparisons.read_plan(out)
    if earlier is None:
        if not is_free(out):
            raise OutputError(f"{out} exists and is not a comparison; choose another folder")
        comparisons.write_plan(out, plan)
        return
    differences = earlier.differences(plan)
    if differences:
        raise ConfigError(
            f"{out} holds a comparison with other {', '.join(differences)}; use the same values to "
            f"resume it, or choose another --out"
        )


def _announcement(
    planned: Sequence[Trial], study: Study, options: CompareOptions, left_out: Sequence[str]
) -> list[str]:
    """What will be compared, how long it takes, and how to resume it."""
    methods = list(dict.fromkeys(trial.method for trial in planned))
    source, names = study.source.name, ", ".join(left_out)
    return [
        *study.backend.notes,
        *([f"left out, since {source} was trained on them: {names}"] if left_out else []),
        *(f"{name}: {METHODS[name].what}" for name in methods),
        _extent(planned, study, options),
        f"if stopped, resume it with the same options and --out {study.out}",
    ]


def _extent(planned: Sequence[Trial], study: Study, options: CompareOptions) -> str:
    methods, sizes = ({getattr(t, key) for t in planned} for key in ("method", "size"))
    budget, folds = study.config.budget, options.rounds or options.folds
    text = (
        f"{len(planned)} trainings ({len(methods)} methods x {len(sizes)} sizes x {folds} folds x "
        f"{options.seeds} seeds) on {len(study.patients)} patients"
    )
    done = sum(map(study.is_done, planned))
    text += f", {done} of them already done" if done else ""
    if budget is None:
        return f"{text}; how long they take is known once one is done"
    total = _duration(budget * (len(planned) - done))
    return f"{text}, {_duration(budget)} each: {total}, and the measuring"


def _run_all(study: Study, planned: Sequence[Trial]) -> Recipe[list[Score]]:
    """Train and measure each trial that is not done; the scores of all."""
    progress = _Progress(len(planned), study.config)
    yield progress.began()
    scores: list[Score] = []
    for number, trial in enumerate(planned, start=1):
        is_new = not study.is_done(trial)
        if is_new:
            run = yield from _filtered(study.train(trial), progress.within)
            yield from _filtered(study.measure(trial, run), lambda _: None)
        # Always from its file, so that the scores of an earlier sitting are the same.
        results = study.scores(trial)
        scores += results
        dice = sum(score.dice for score in results) / len(results)
        if is_new:
            numbers = {"dice": dice, "seconds": results[0].seconds}
            yield Measured("training", number, numbers, f"{number} of {len(planned)}: {trial}")
        progress.finished = number
        yield progress.advanced({"Dice": dice})
    return scores


def _draw(study: Study, comparison: Comparison, heard: Heard) -> Path:
    """``compare.png``, Dice over the number of training patients by method; and the page."""
    counts, drawn = lines(comparison)
    title = f"{study.source.name} to {study.store.name}"
    charts.dice_against_cases(study.out / "compare.png", counts, drawn, title)
    page = comparison_page(
        comparison,
        about(
            versions(),
            heard=heard,
            settings=study.plan.config,
            machine=machine_of(describe(study.backend)),
        ),
        source=study.source.name,
        store=study.store.name,
        patients=len(study.patients),
        folds=study.folds,
    )
    path = study.out / html.FILE
    html.write(path, page)
    return path


class _Progress:
    """Progress of the whole comparison, in seconds where each training has a budget."""

    def __init__(self, total: int, config: TrainConfig) -> None:
        self.total, self.finished = total, 0
        self.seconds = max(int(config.budget), 1) if config.budget else None
        self._began = Began("train", 1, "step")

    def began(self) -> Event:
        unit = "training" if self.seconds is None else "second"
        return Began("compare", self.total * (self.seconds or 1), unit)

    def advanced(self, numbers: Mapping[str, float], share: float = 0.0, item: str = "") -> Event:
        """``share`` is how much of the training in progress is done."""
        done = self.finished + min(share, 1.0)
        if self.seconds is not None:
            done = int(done * self.seconds)
        return Advanced("compare", done, numbers, item)

    def within(self, event: Event) -> Event | None:
        """A training's own progress, as a part of the whole."""
        if isinstance(event, Began):
            self._began = event
        if isinstance(event, Advanced) and event.stage == "train":
            return self.advanced(event.numbers, event.done / max(self._began.total, 1), event.item)
        return None


def _filtered(recipe: Recipe[R], replace: Callable[[Event], Event | None]) -> Recipe[R]:
    """``recipe`` with each event replaced, or dropped: a hundred trainings yield too many."""
    with closing(recipe):
        while True:
            try:
                event = replace(next(recipe))
            except StopIteration as end:
                result: R = end.value
                return result
            if event is not None:
                yield event


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
