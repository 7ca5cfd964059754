"""The trainings of a study: what a comparison and a forecast share.

A training with a ``result.json`` is not run again, one that was stopped is resumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from mriseg.core.comparison import Score
from mriseg.core.config import TrainConfig
from mriseg.core.sampling import CaseEntry, patients
from mriseg.core.trials import Trial, trials
from mriseg.errors import ConfigError, OutputError
from mriseg.events import Advanced, Began, Event, Measured, Recipe
from mriseg.io import comparisons
from mriseg.io.comparisons import Kind, Plan
from mriseg.io.disk.atomic import is_free
from mriseg.io.disk.shared import workroom
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes.case_work import CaseWorkers, Where, case_workers, elsewhere
from mriseg.recipes.loaded import needs_of
from mriseg.recipes.pipeline import Outcome
from mriseg.recipes.setup import Setup, plan_training
from mriseg.recipes.transfer import shape_of
from mriseg.recipes.trial import Study
from mriseg.recipes.width import PAPER_WIDTH

# Of a training's share in the whole: the rest is for measuring, so that the whole goes on.
_TRAINED = 0.99


class Sampling(Protocol):
    """Which patients train and are held out, and how often: what options of a study say of it."""

    @property
    def sizes(self) -> tuple[str, ...] | None:
        """Numbers of training patients."""

    @property
    def folds(self) -> int:
        """Parts that the patients are split into."""

    @property
    def rounds(self) -> int | None:
        """How many of the folds are held out; None: all."""

    @property
    def seeds(self) -> int:
        """How often all of it is repeated."""


def common_setup(
    store: Store, config: TrainConfig, source: Run | None
) -> tuple[Setup, TrainConfig]:
    """The setup of all trainings of a study, and their configuration up to seed and patients.

    Nobody validates: the patients held out choose nothing. All trainings read and learn the same.

    Args:
        store: of labelled cases.
        config: as it was asked for.
        source: the run that the trainings start from, whose modalities they read and whose width
            they have unless ``config`` says otherwise; None: from scratch, as wide as the paper's.

    Raises:
        ConfigError, InputError: see `mriseg.recipes.setup.plan_training`.
    """
    if config.calibration is not None:
        raise ConfigError("--calibration is for one training on all patients: leave it out here")
    width = config.width or (PAPER_WIDTH if source is None else shape_of(source).width)
    alike = {"validation": 0.0, "validation_cases": None, "width": width}
    base = config.model_copy(update=alike)
    reads = () if source is None else source.manifest.modalities
    setup = plan_training(store, base, source=reads)
    fixed = {"modalities": setup.task.modalities, "regions": tuple(setup.task.regions)}
    return setup, base.model_copy(update=fixed)


def planned_trials(
    groups: Sequence[Sequence[CaseEntry]],
    methods: Sequence[str],
    sampling: Sampling,
    first_seed: int,
) -> list[Trial]:
    """The trainings of a study, in order.

    Args:
        groups: the cases of each patient who takes part.
        methods: how each of them is begun.
        sampling: who trains, and how often.
        first_seed: of the first repetition.
    """
    return trials(
        [case for group in groups for case in group],
        methods,
        sizes=sampling.sizes,
        count=sampling.folds,
        rounds=sampling.rounds,
        seeds=range(first_seed, first_seed + sampling.seeds),
    )


def announced(
    study: Study, left_out: Sequence[str], what: Sequence[str], notes: Sequence[str]
) -> list[str]:
    """What is said before the first training.

    Args:
        study: what the trainings share.
        left_out: cases of patients that the source knows.
        what: will be trained, in sentences.
        notes: of what computes.
    """
    source, names = study.name_of_source, ", ".join(left_out)
    return [
        *notes,
        *([f"left out, since {source} was trained on them: {names}"] if left_out else []),
        *what,
        f"if stopped, resume it with the same options and --out {study.out}",
    ]


def claim(out: Path, plan: Plan, kind: Kind) -> None:
    """Take ``out`` for this study, or make sure that it already belongs to it.

    Raises:
        ConfigError: it holds a study with another plan.
        InputError: its plan is damaged, or of another kind of study.
        OutputError: it is taken by something else.
    """
    earlier = comparisons.read_plan(out, kind, type(plan))
    if earlier is None:
        if not is_free(out):
            raise OutputError(f"{out} exists and is not a {kind}; choose another folder")
        comparisons.write_plan(out, plan, kind)
        return
    differences = earlier.differences(plan)
    if differences:
        raise ConfigError(
            f"{out} holds a {kind} with other {', '.join(differences)}; use the same values to "
            f"resume it, or choose another --out"
        )


def unseen(setup: Setup, source: Run | None) -> tuple[list[list[CaseEntry]], list[str]]:
    """Cases by patient, without the patients that shaped the source; and those cases' names.

    Raises:
        ConfigError: fewer than two patients are left.
    """
    groups = patients(setup.index.cases)
    if source is None:
        return groups, []
    names = source.manifest.seen_among(setup.index.cases)
    seen = [group for group in groups if any(case.name in names for case in group)]
    kept = [group for group in groups if group not in seen]
    if len(kept) < 2:
        raise ConfigError(
            f"{source.name} was trained on {len(seen)} of the store's {len(groups)} patients, so "
            f"that there are too few to compare on; transfer to other patients"
        )
    return kept, sorted(case.name for group in seen for case in group)


def extent(study: Study, planned: Sequence[Trial], factors: Mapping[str, int]) -> str:
    """How many trainings there are, as a product, and how long they take.

    Args:
        study: what they share.
        planned: all of them, whether or not they are done.
        factors: noun in the singular -> how many of it.
    """
    budget = study.config.budget
    product = " x ".join(f"{count} {noun}s" for noun, count in factors.items())
    done = sum(map(study.is_done, planned))
    text = f"{len(planned)} trainings ({product}) on {len(study.patients)} patients"
    text += f", {done} of them already done" if done else ""
    if budget is None:
        return f"{text}; how long they take is known once one is done"
    total = _duration(budget * (len(planned) - done))
    return f"{text}, {_duration(budget)} each: {total}, and the measuring"


@contextmanager
def study_workers(study: Study, where: Where, planned: Sequence[Trial]) -> Iterator[CaseWorkers]:
    """Those who train what is not done yet.

    Raises:
        WorkerError: workers are not there, or lack something.
    """
    todo = [trial for trial in planned if not study.is_done(trial)]
    with ExitStack() as stack:
        needs = None
        if elsewhere(where) and todo:
            source = None if study.source is None else study.source()
            room = stack.enter_context(workroom(study.out))
            needs = replace(needs_of(study.store, source), room=room)
        yield stack.enter_context(case_workers(where, len(todo), needs))


def all_scores(
    study: Study, planned: Sequence[Trial], stage: str, workers: CaseWorkers
) -> Recipe[list[Score]]:
    """Train and measure each trial that is not done; the scores of all, in their order.

    Args:
        study: what they share.
        planned: the trials, in order.
        stage: the name of the whole, in events.
        workers: who does them.
    """
    todo = [trial for trial in planned if not study.is_done(trial)]
    progress = _Progress(stage, len(planned), study.config, at_once=workers.at_once)
    yield progress.began()
    for trial in planned:
        if trial not in todo:
            progress.finished += 1
            yield progress.advanced({"Dice": _mean(study.scores(trial))})
    train = (study.sent() if workers.are_elsewhere else study).done
    for step in workers.each(train, todo, lambda _number, _trial, event: progress.within(event)):
        if not isinstance(step, Outcome):
            yield step
            continue
        scores = study.scores(step.item)
        progress.finished += 1
        numbers = {"dice": _mean(scores), "seconds": scores[0].seconds}
        note = f"{progress.finished} of {len(planned)}: {step.item}"
        yield Measured("training", progress.finished, numbers, note)
        yield progress.advanced({"Dice": _mean(scores)})
    # Always from their files, so that the scores of an earlier sitting are the same.
    return [score for trial in planned for score in study.scores(trial)]


def _mean(scores: Sequence[Score]) -> float:
    return sum(score.dice for score in scores) / len(scores)


class _Progress:
    """Progress of all trainings, in seconds where each has a budget."""

    def __init__(self, stage: str, total: int, config: TrainConfig, at_once: int) -> None:
        self.stage, self.total, self.finished, self.at_once = stage, total, 0, at_once
        self.seconds = max(int(config.budget), 1) if config.budget else None
        self._began = Began("train", 1, "step")

    def began(self) -> Event:
        unit = "training" if self.seconds is None else "second"
        return Began(self.stage, self.total * (self.seconds or 1), unit, at_once=self.at_once)

    def advanced(self, numbers: Mapping[str, float], share: float = 0.0, item: str = "") -> Event:
        """``share`` is how much of the training in progress is done."""
        done = self.finished + min(share, 1.0)
        if self.seconds is not None:
            done = int(done * self.seconds)
        return Advanced(self.stage, done, numbers, item)

    def within(self, event: Event) -> Event | None:
        """A training's own progress, as a part of the whole."""
        if isinstance(event, Began):
            self._began = event
        if isinstance(event, Advanced) and event.stage == "train":
            share = min(event.done / max(self._began.total, 1), _TRAINED)
            return self.advanced(event.numbers, share, event.item)
        return None


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
