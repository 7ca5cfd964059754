"""Where to start from: the same patients, folds, seeds and budget for each way to begin a training.

::

    OUT/
        plan.json           what holds for all trainings; another comparison is refused here
        runs/patients-10/seed-0/fold-1/lp-ft/   a run folder each, and in it
            result.json     Dice of each case of the fold's patients
        compare.json, compare.csv, compare.png  once all are done

A fold's patients choose nothing: no training of the fold knows them, and without validation the
averaged weights at its end count. What has a ``result.json`` is not run again, a training that was
stopped goes on, and so does the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from mriseg.backends.base import Backend
from mriseg.core.comparison import METHODS, Comparison, Method, Score, chosen_methods, compared
from mriseg.core.config import TrainConfig
from mriseg.core.sampling import CaseEntry, patients
from mriseg.core.transfer import Shape
from mriseg.core.transfer import plan as transfer_plan
from mriseg.core.trials import Trial, trials
from mriseg.errors import ConfigError, InputError, OutputError
from mriseg.events import Advanced, Began, Event, Measured, Notice, R, Recipe, Wrote
from mriseg.io import runs
from mriseg.io.disk import documents
from mriseg.io.disk.atomic import is_free
from mriseg.io.disk.documents import read_json
from mriseg.io.disk.locks import locked
from mriseg.io.runs import Checkpoint, Run, open_run
from mriseg.io.store import Store
from mriseg.recipes.evaluate import evaluate
from mriseg.recipes.setup import Setup, plan_training
from mriseg.recipes.train import resume, train
from mriseg.recipes.transfer import shape_of, transfer
from mriseg.report import charts

FORMAT = "mriseg-compare"
FORMAT_VERSION = 1
# What may change between two sittings: it decides no number.
_FREE = ("checkpoint_every",)


@dataclass(frozen=True)
class CompareOptions:
    """What is compared, and how often.

    Attributes:
        methods: names in `mriseg.core.comparison.METHODS`; scratch is always among them. None: the
            usual five.
        sizes: how many patients train, each a number or "all" that a fold leaves. None: 5, 10 and
            20 where a fold leaves more, and all.
        folds: the patients are dealt out to so many, which are held out in turn.
        rounds: how many of the folds are; None: all. Where there are many patients, one will do.
        seeds: how often all of it is repeated, with other folds, patients and weights.
        new_head: a transfer makes its head anew even where regions have the same name.
    """

    methods: tuple[str, ...] | None = None
    sizes: tuple[str, ...] | None = None
    folds: int = 5
    rounds: int | None = None
    seeds: int = 1
    new_head: bool = False


@dataclass(frozen=True)
class CompareReport:
    """What was found, and where it is written.

    Attributes:
        path: the folder.
        scores: a case after a training each.
        comparison: their means, differences and verdicts.
    """

    path: Path
    scores: tuple[Score, ...]
    comparison: Comparison


def compare(
    store: Store,
    source: Run,
    config: TrainConfig,
    backend: Backend,
    options: CompareOptions | None = None,
    *,
    out: Path | None = None,
) -> Recipe[CompareReport]:
    """Train each method on the same patients and measure it on the same others.

    Args:
        store: of the new task. Patients that the source was trained on are left out.
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
    setup, base = _settled(store, source, config, methods, options)
    groups, known = _unseen(setup, source)
    planned = trials(
        [case for group in groups for case in group],
        methods,
        sizes=options.sizes,
        count=options.folds,
        rounds=options.rounds,
        seeds=range(base.seed, base.seed + options.seeds),
    )
    out = out or runs.fresh_path(Path("runs"), f"compare-{store.name}", datetime.now())
    common = _Common(store, source, base, setup, groups, backend, options, out)
    settled = common.plan()
    with locked(out, "compare"):
        _claim(out, settled)

        for text in (*backend.notes, *setup.notices):
            yield Notice(text)
        if known:
            yield Notice(f"left out, since {source.name} was trained on them: {', '.join(known)}")
        for name in methods:
            yield Notice(f"{name}: {METHODS[name].what}")
        todo = [trial for trial in planned if not common.result(trial).exists()]
        yield Notice(_announced(planned, todo, common))
        yield Notice(f"stopped, it goes on with the same options and --out {out}")

        progress = _Progress(len(planned), base)
        yield progress.began()
        scores: list[Score] = []
        for number, trial in enumerate(planned, start=1):
            if trial in todo:
                run = yield from _quietly(common.trained(trial), progress.within)
                rows = yield from _quietly(common.measured(trial, run), lambda _: None)
                _shed(run)
                _write(common.result(trial), rows)
            # Always from its file, so that an earlier sitting's are no others.
            found = _read(common.result(trial), trial)
            scores += found
            dice = sum(score.dice for score in found) / len(found)
            if trial in todo:
                numbers = {"dice": dice, "seconds": found[0].seconds}
                yield Measured("training", number, numbers, f"{number} of {len(planned)}: {trial}")
            progress.finished = number
            yield progress.advanced({"Dice": dice})
        comparison = compared(scores)
        yield from _written(out, settled, methods, scores, comparison)
        return CompareReport(out, tuple(scores), comparison)


def _settled(
    store: Store,
    source: Run,
    config: TrainConfig,
    methods: Sequence[str],
    options: CompareOptions,
) -> tuple[Setup, TrainConfig]:
    """What holds for all trainings, and their configuration up to seed and patients."""
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
    setup = plan_training(store, base)
    target = Shape(setup.modalities, tuple(setup.regions), config.width)
    for policy in (METHODS[name].transfer for name in methods):
        freeze = policy.freeze if policy else "none"
        transfer_plan(shape_of(source), target, freeze, new_head=options.new_head)
    fixed = {"modalities": setup.modalities, "regions": tuple(setup.regions)}
    return setup, base.model_copy(update=fixed)


def _unseen(setup: Setup, source: Run) -> tuple[list[list[CaseEntry]], list[str]]:
    """Cases by patient, without the patients that shaped the source; and those cases' names."""
    groups = patients(setup.index.cases)
    found = source.manifest.seen_among(setup.index.cases)
    seen = [group for group in groups if any(case.name in found for case in group)]
    kept = [group for group in groups if group not in seen]
    if len(kept) < 2:
        raise ConfigError(
            f"{source.name} was trained on {len(seen)} of the store's {len(groups)} patients, so "
            f"that there are too few to compare on; transfer to other patients"
        )
    return kept, sorted(case.name for group in seen for case in group)


@dataclass(frozen=True)
class _Common:
    """What all trainings of a comparison share."""

    store: Store
    source: Run
    base: TrainConfig
    setup: Setup
    groups: Sequence[Sequence[CaseEntry]]
    backend: Backend
    options: CompareOptions
    out: Path

    def plan(self) -> dict[str, Any]:
        """What may not change between two sittings; methods, sizes and seeds may be added."""
        return {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "source": {"run": self.source.name, "created": self.source.manifest.created},
            "store": self.store.name,
            "cases": [[c.name, _patient(group), c.content] for group in self.groups for c in group],
            "regions": [[name, list(labels)] for name, labels in self.setup.regions.items()],
            "folds": self.options.folds,
            "new_head": self.options.new_head,
            "config": self.base.model_dump(mode="json", exclude={"transfer", *_FREE}),
        }

    def folder(self, trial: Trial) -> Path:
        return self.out / "runs" / trial.place

    def result(self, trial: Trial) -> Path:
        return self.folder(trial) / "result.json"

    def trained(self, trial: Trial) -> Recipe[Run]:
        """Its run, trained to the end.

        Raises:
            InputError: other cases trained than were planned, so that it would compare nothing.
        """
        yield from self._train(trial)
        run = open_run(self.folder(trial))
        if set(run.manifest.train) != set(trial.train):
            raise InputError(
                f"{run.path} was trained on {', '.join(run.manifest.train)}, and planned were "
                f"{', '.join(trial.train)}; remove it"
            )
        return run

    def _train(self, trial: Trial) -> Recipe[None]:
        """From the beginning, or on from where it was stopped."""
        path, method = self.folder(trial), METHODS[trial.method]
        if (path / "run.json").exists():
            run = open_run(path)
            if run.has("last"):
                if not run.ended:
                    yield from resume(run, self.backend, self.store)
                return
            runs.discard(run)
        config = self._config(trial, method)
        if config.transfer is None:
            yield from train(self.store, config, self.backend, out=path)
        else:
            yield from transfer(
                self.store,
                self.source,
                config,
                self.backend,
                weights=method.weights,
                new_head=self.options.new_head,
                out=path,
            )

    def _config(self, trial: Trial, method: Method) -> TrainConfig:
        others = {case.name for case in self.setup.index.cases} - set(trial.train)
        update = {
            "seed": trial.seed,
            "exclude": tuple(sorted({*others, *self.base.exclude})),
            "transfer": method.transfer,
        }
        return self.base.model_copy(update=update)

    def measured(self, trial: Trial, run: Run) -> Recipe[list[dict[str, Any]]]:
        """A row a case that was held out."""
        report = yield from evaluate(self.store, run, self.backend, cases=trial.held)
        found: dict[str, dict[str, float]] = {}
        for score in report.scores:
            found.setdefault(score.case, {})[score.region] = score.dice
        lost = [name for name in trial.held if name not in found]
        if lost:
            why = "; ".join(f"{case}: {reason}" for case, reason in report.skipped)
            raise InputError(
                f"{', '.join(lost)} cannot be measured ({why or 'the model was trained on them'}); "
                f"leave them out with --exclude"
            )
        patient = {case.name: _patient(group) for group in self.groups for case in group}
        seconds = float(run.read_log()[-1]["seconds"])
        return [
            {"case": case, "patient": patient[case], "seconds": seconds, "regions": regions}
            for case, regions in found.items()
        ]


def _claim(out: Path, settled: Mapping[str, Any]) -> None:
    """Take ``out`` for this comparison, or find that it is its own already."""
    path = out / "plan.json"
    if not path.exists():
        if not is_free(out):
            raise OutputError(f"{out} exists and is no comparison; choose another folder")
        documents.write_json(path, settled)
        return
    there = _loaded(path)
    odd = [key for key in settled if key != "config" and there.get(key) != settled[key]]
    config = there.get("config", {})
    odd += [
        f"{key} ({config.get(key)} there, {value} here)"
        for key, value in settled["config"].items()
        if config.get(key) != value
    ]
    if odd:
        raise ConfigError(
            f"{out} holds a comparison with other {', '.join(odd)}; give the same to go on with "
            f"it, or choose another --out"
        )


def _announced(planned: Sequence[Trial], todo: Sequence[Trial], common: _Common) -> str:
    methods, sizes = ({getattr(t, key) for t in planned} for key in ("method", "size"))
    options, budget = common.options, common.base.budget
    folds = options.rounds or options.folds
    many = (
        f"{len(planned)} trainings ({len(methods)} methods x {len(sizes)} sizes x {folds} folds x "
        f"{options.seeds} seeds) on {len(common.groups)} patients"
    )
    done = len(planned) - len(todo)
    many += f", {done} of them done before" if done else ""
    if budget is None:
        return f"{many}; how long they take is known once one is done"
    return f"{many}, {_long(budget)} each: {_long(budget * len(todo))}, and the measuring"


def _shed(run: Run) -> None:
    """Drop what only going on would need: most of what a run weighs, and there are many."""
    last = run.load("last")
    run.save("last", Checkpoint(last.weights, {}, last.state))


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    documents.write_json(path, {"format": FORMAT, "version": FORMAT_VERSION, "cases": rows})


def _read(path: Path, trial: Trial) -> list[Score]:
    """The scores of a training, always from its file: those of an earlier sitting are the same."""
    data = _loaded(path)
    try:
        found = [_score(trial, row) for row in data["cases"]]
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise InputError(f"{path} is damaged ({error!r}); remove it to measure again") from None
    if sorted(score.case for score in found) != sorted(trial.held):
        raise InputError(f"{path} is not of the cases that were held out; remove it to measure")
    return found


def _loaded(path: Path) -> dict[str, Any]:
    data = read_json(path)
    if data.get("format") != FORMAT or data.get("version") != FORMAT_VERSION:
        raise InputError(f"{path} is not of a comparison that this mriseg reads; choose another")
    return data


def _score(trial: Trial, row: Mapping[str, Any]) -> Score:
    regions = {str(name): float(dice) for name, dice in row["regions"].items()}
    return Score(
        method=trial.method,
        size=trial.size,
        patients=trial.patients,
        seed=trial.seed,
        fold=trial.fold,
        patient=str(row["patient"]),
        case=str(row["case"]),
        dice=sum(regions.values()) / len(regions),
        regions=regions,
        seconds=float(row["seconds"]),
    )


def _patient(group: Sequence[CaseEntry]) -> str:
    return min(case.patient for case in group)


def _written(
    out: Path,
    settled: Mapping[str, Any],
    methods: Sequence[str],
    scores: Sequence[Score],
    comparison: Comparison,
) -> Recipe[None]:
    kept = {key: value for key, value in settled.items() if key != "cases"}
    kept["methods"] = {name: METHODS[name].what for name in methods}
    kept["seeds"] = sorted({score.seed for score in scores})
    documents.write_csv(out / "compare.csv", [score.to_row() for score in scores])
    documents.write_json(out / "compare.json", {**kept, **documents.plain(comparison)})
    cells = {(cell.size, cell.method): cell for cell in comparison.cells}
    sizes = list(comparison.verdicts)
    lines = {
        name: [
            (cell.dice.mean, cell.dice.low, cell.dice.high)
            for cell in (cells[size, name] for size in sizes)
        ]
        for name in methods
    }
    counts = [cells[size, methods[0]].patients for size in sizes]
    title = f"{settled['source']['run']} to {settled['store']}"
    charts.dice_against_cases(out / "compare.png", counts, lines, title)
    yield Wrote(out, "compare.json, compare.csv and compare.png")


class _Progress:
    """How far the whole comparison is: in seconds where each training has a budget of them."""

    def __init__(self, total: int, base: TrainConfig) -> None:
        self.total, self.finished = total, 0
        self.seconds = max(int(base.budget), 1) if base.budget else None

    def began(self) -> Event:
        unit = "training" if self.seconds is None else "second"
        return Began("compare", self.total * (self.seconds or 1), unit)

    def advanced(self, numbers: Mapping[str, float], inside: int = 0) -> Event:
        """``inside`` is how far the training under way is."""
        if self.seconds is None:
            return Advanced("compare", self.finished, numbers)
        done = self.finished * self.seconds + min(inside, self.seconds)
        return Advanced("compare", done, numbers)

    def within(self, event: Event) -> Event | None:
        """A training's own progress, as a part of the whole."""
        if isinstance(event, Advanced) and event.stage == "train":
            return self.advanced(event.numbers, event.done)
        return None


def _quietly(recipe: Recipe[R], told: Callable[[Event], Event | None]) -> Recipe[R]:
    """``recipe`` with what ``told`` makes of its events: of a hundred trainings each says much."""
    with closing(recipe):
        while True:
            try:
                event = told(next(recipe))
            except StopIteration as end:
                result: R = end.value
                return result
            if event is not None:
                yield event


def _long(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
