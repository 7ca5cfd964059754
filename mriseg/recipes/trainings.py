"""The trainings of a study, one after another: what a comparison and a forecast share.

A training with a ``result.json`` is not run again, one that was stopped is resumed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from mriseg.core.comparison import Score
from mriseg.core.config import TrainConfig
from mriseg.core.sampling import CaseEntry, patients
from mriseg.core.trials import Trial
from mriseg.errors import ConfigError, OutputError
from mriseg.events import Advanced, Began, Event, Measured, R, Recipe
from mriseg.io import comparisons
from mriseg.io.comparisons import Kind, Plan
from mriseg.io.disk.atomic import is_free
from mriseg.io.runs import Run
from mriseg.recipes.setup import Setup
from mriseg.recipes.trial import Study


def claim(out: Path, plan: Plan, kind: Kind) -> None:
    """Take ``out`` for this study, or make sure that it already belongs to it.

    Raises:
        ConfigError: it holds a study with another plan.
        InputError: its plan is damaged, or of another kind of study.
        OutputError: it is taken by something else.
    """
    earlier = comparisons.read_plan(out, kind)
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


def unseen(setup: Setup, source: Run) -> tuple[list[list[CaseEntry]], list[str]]:
    """Cases by patient, without the patients that shaped the source; and those cases' names.

    Raises:
        ConfigError: fewer than two patients are left.
    """
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


def all_scores(study: Study, planned: Sequence[Trial], stage: str) -> Recipe[list[Score]]:
    """Train and measure each trial that is not done; the scores of all.

    Args:
        study: what they share.
        planned: the trials, in order.
        stage: the name of the whole, in events.
    """
    progress = _Progress(stage, len(planned), study.config)
    yield progress.began()
    scores: list[Score] = []
    for number, trial in enumerate(planned, start=1):
        is_new = not study.is_done(trial)
        if is_new:
            run = yield from filtered(study.train(trial), progress.within)
            yield from filtered(study.measure(trial, run), lambda _: None)
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


class _Progress:
    """Progress of all trainings, in seconds where each has a budget."""

    def __init__(self, stage: str, total: int, config: TrainConfig) -> None:
        self.stage, self.total, self.finished = stage, total, 0
        self.seconds = max(int(config.budget), 1) if config.budget else None
        self._began = Began("train", 1, "step")

    def began(self) -> Event:
        unit = "training" if self.seconds is None else "second"
        return Began(self.stage, self.total * (self.seconds or 1), unit)

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
            return self.advanced(event.numbers, event.done / max(self._began.total, 1), event.item)
        return None


def filtered(recipe: Recipe[R], replace: Callable[[Event], Event | None]) -> Recipe[R]:
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
