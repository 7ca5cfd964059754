"""One training of a cross-validation, and what it gives for the patients that it never saw."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

from mriseg.core import metrics
from mriseg.core.calibration import Calibrations, dice_by_min_share, tally
from mriseg.core.comparison import Score
from mriseg.core.config import FREE_SETTINGS, TrainConfig, TransferConfig, parse
from mriseg.core.cross_validation import PartTrial, Subset, subset_name, used_of
from mriseg.core.pooled_calibration import HeldOut
from mriseg.core.regions import region_masks
from mriseg.core.trials import Trial
from mriseg.engine.segmenter import Segmentation, Segmenter
from mriseg.errors import ConfigError, InputError
from mriseg.events import Advanced, Began, Event, Recipe, reporting
from mriseg.io.cross_validations import (
    CrossPlan,
    HeldMask,
    PlannedPart,
    Predicted,
    PredictedCase,
    copy_run,
    read_predicted,
    steps_of,
    write_held,
    write_predicted,
)
from mriseg.io.runs import Checkpoint, Run, open_run
from mriseg.recipes.channels import restricted
from mriseg.recipes.given_calibration import SAID_OTHERWISE
from mriseg.recipes.load import load
from mriseg.recipes.train import TrainReport, train
from mriseg.recipes.transfer import transfer
from mriseg.recipes.trial import Study


@dataclass(frozen=True)
class CrossStudy(Study):
    """What all trainings of a cross-validation share.

    Attributes:
        trials: all of them.
        subsets: of the modalities, in which each case held out is predicted.
        groups: case -> where it is from; "" where nothing says so.
    """

    trials: tuple[PartTrial, ...]
    subsets: tuple[Subset, ...]
    groups: dict[str, str]

    @property
    def plan(self) -> CrossPlan:
        """What must stay the same when it is continued."""
        plan = super().plan
        config = self.config.model_dump(mode="json", exclude=set(FREE_SETTINGS))
        parts = tuple(PlannedPart(trial.part, trial.held) for trial in self.trials)
        return CrossPlan(**{**plan.__dict__, "config": config}, parts=parts)

    @property
    def reads(self) -> tuple[str, ...]:
        """The modalities that the networks read."""
        return self.config.modalities or ()

    def wanted(self, trial: Trial) -> list[HeldOut]:
        """Each case that the trial holds out, in each subset that it has."""
        entries = {case.name: (case, group) for group in self.patients for case in group}
        rows = []
        for name in trial.held:
            case, group = entries[name]
            for subset in self.subsets:
                used = used_of(case.modalities, subset, self.reads)
                if used:
                    patient = min(each.patient for each in group)
                    of = self.groups.get(name, "")
                    rows.append(HeldOut(name, patient, of, trial.place, subset_name(subset), used))
        return rows

    def folder(self, trial: Trial) -> Path:
        """Where it is kept what the trial's run gave."""
        return self.out / "held" / trial.place

    def predicted(self, trial: Trial) -> dict[tuple[str, tuple[str, ...]], PredictedCase]:
        """(case, modalities) -> what is there of it.

        Raises:
            InputError: the list is damaged.
        """
        known = read_predicted(self.folder(trial))
        return {(case.case, case.used): case for case in known.cases} if known else {}

    def is_done(self, trial: Trial) -> bool:
        """Whether all that is wanted of the trial is there."""
        known = self.predicted(trial)
        return all((row.case, row.used) in known for row in self.wanted(trial))

    def scores(self, trial: Trial) -> list[Score]:
        """Of each case in its first subset, with the threshold that the loss gives: for progress.

        Raises:
            InputError: the list of what was predicted is damaged.
        """
        known = read_predicted(self.folder(trial))
        first = {row.case: row for row in reversed(self.wanted(trial))}
        by_key = {(case.case, case.used): case for case in known.cases} if known else {}
        return [
            Score(
                method=trial.method,
                size=trial.size,
                patients=trial.patients,
                seed=trial.seed,
                fold=trial.fold,
                patient=row.patient,
                case=row.case,
                dice=sum(case.dice.values()) / len(case.dice),
                regions=case.dice,
                seconds=known.seconds if known else 0.0,
            )
            for row in first.values()
            for case in [by_key[row.case, row.used]]
        ]

    def check(self, trial: Trial, run: Run) -> None:
        """Refuse a run that was not trained as the trial's is.

        Raises:
            InputError: it was trained on other cases or otherwise, or has not ended.
        """
        problems = [*self._unlike(trial, run)]
        if problems:
            raise InputError(
                f"{run.path} cannot stand for {trial.place}: {'; '.join(problems)}. Give the "
                f"settings that it was trained with, or another run, or none"
            )

    def adopt(self, trial: Trial, run: Run) -> None:
        """Copy a finished run to the place of the trial's, where nothing is yet.

        Raises:
            InputError: see `check`.
            OutputError: it cannot be copied; nothing is left of it.
        """
        place = self._folder(trial)
        if place.exists():
            return
        self.check(trial, run)
        if not run.has("last") or not run.ended:
            raise InputError(f"{run.path} has not ended: resume it first, or leave it out")
        copy_run(run.path, place)

    def begun(self, trial: Trial) -> Run | None:
        """The trial's run, begun or finished; None: there is none yet."""
        path = self._folder(trial)
        return open_run(path) if (path / "run.json").exists() else None

    def measuring(self, trial: Trial, run: Run) -> Recipe[None]:
        """`measure`, with all of its events: it may take as long as a training."""
        yield from self.measure(trial, run)

    def measure(self, trial: Trial, run: Run) -> Recipe[None]:
        """Predict the cases held out, and drop the optimiser from the run.

        Raises:
            InputError: a case cannot be predicted.
        """
        self.check(trial, run)
        folder, known = self.folder(trial), self.predicted(trial)
        keys = dict.fromkeys((row.case, row.used) for row in self.wanted(trial))
        todo = [key for key in keys if key not in known]
        seconds = float(run.read_log()[-1]["seconds"])
        segmenter = Segmenter(load(run))
        yield Began("train", 1, "step")
        for number, (name, used) in enumerate(todo, start=1):
            text = f"held out {number}/{len(todo)}"
            case = restricted(self.store.read_case(name), used)
            work = segmenter.segmenting(case, self.backend())
            segmented = yield from reporting(work, partial(_after, text))
            assert case.labels is not None, "plan_training() keeps labelled cases alone"
            truth = region_masks(case.labels, self.regions)
            mask, dice = kept(segmented, truth, run.calibration())
            file = _file(name, used)
            write_held(folder / file, mask)
            by_region = dict(zip(self.regions, dice, strict=True))
            known[name, used] = PredictedCase(name, used, file, by_region)
            # After each case, so that one that was stopped goes on with the next.
            write_predicted(folder, Predicted(seconds, tuple(known.values())))
        last = run.load("last")
        if last.optimiser:
            # Only resuming would need it: most of a run's size.
            run.save("last", Checkpoint(last.weights, {}, last.state))

    def _begin(self, trial: Trial) -> Recipe[TrainReport]:
        path, config = self._folder(trial), self._config_of(trial)
        if self.source is None:
            return train(self.store, config, self.backend(), out=path)
        return transfer(self.store, self.source(), config, self.backend(), out=path)

    def _config_of(self, trial: Trial) -> TrainConfig:
        others = self.cases - set(trial.train)
        exclude = tuple(sorted({*others, *self.config.exclude}))
        return self.config.model_copy(update={"exclude": exclude})

    def _unlike(self, trial: Trial, run: Run) -> Iterator[str]:
        """What a run differs in from the trial's."""
        manifest, parent = run.manifest, run.manifest.parent or {}
        if manifest.validation:
            yield f"{len(manifest.validation)} of its cases validated, and none may"
        more, less = set(manifest.train) - set(trial.train), set(trial.train) - set(manifest.train)
        if more:
            yield f"it was trained on {_few(more)} as well"
        if less and not manifest.validation:
            yield f"it was not trained on {_few(less)}"
        pairs: list[tuple[str, Any, Any]] = [
            ("modalities", manifest.modalities, self.reads),
            ("regions", dict(manifest.regions), dict(self.regions)),
            ("width", int(manifest.model["width"]), self.config.width),
            ("start", _last(parent.get("run")), _last(self.source().name if self.source else None)),
        ]
        before = parse(TrainConfig, manifest.config).model_dump(mode="json")
        now = self._config_of(trial).model_dump(mode="json")
        if self.source is not None and now["transfer"] is None:
            now["transfer"] = TransferConfig().model_dump(mode="json")
        pairs += [(key, before[key], now[key]) for key in now if key not in SAID_OTHERWISE]
        for key, its, ours in pairs:
            if its != ours:
                yield f"{key} is {its} there and {ours} in this cross-validation"


def check_given(study: CrossStudy, given: dict[str, Run]) -> None:
    """Refuse runs that cannot stand for parts, before anything is written.

    Args:
        study: the cross-validation.
        given: part -> a run.

    Raises:
        ConfigError: there is no such part.
        InputError: a run was trained on other cases or otherwise.
    """
    trials = {trial.part: trial for trial in study.trials}
    unknown = sorted(set(given) - set(trials))
    if unknown:
        raise ConfigError(f"there is no part {', '.join(unknown)}; there are {', '.join(trials)}")
    for part, run in given.items():
        study.check(trials[part], run)


def adopted(study: CrossStudy, given: dict[str, Run]) -> Sequence[str]:
    """Take finished runs as those of parts, and check those that are there; what to say of it.

    Args:
        study: the cross-validation.
        given: part -> a run, as `check_given` lets through.

    Raises:
        InputError: a run was trained on other cases or otherwise.
    """
    trials = {trial.part: trial for trial in study.trials}
    for part, run in given.items():
        study.adopt(trials[part], run)
    for trial in study.trials:
        earlier = study.begun(trial)
        if earlier is not None:
            study.check(trial, earlier)
    return [f"{part}: {run.path} is taken as its training" for part, run in given.items()]


def kept(
    segmented: Segmentation, truth: np.ndarray[Any, np.dtype[np.uint8]], own: Calibrations
) -> tuple[HeldMask, list[float]]:
    """What is kept of a case, as logits of the network as trained; and its Dice for progress."""
    with np.errstate(divide="ignore"):
        logits = special.logit(segmented.probabilities)
    tallies, shares, dice = [], [], []
    for r, calibration in enumerate(own.regions):
        logits[r] = (logits[r] - calibration.shift) / calibration.scale
        plain = special.expit(logits[r])
        tallies.append(tally(plain, truth[r]))
        shares.append(dice_by_min_share(plain, truth[r], calibration.own_threshold))
        dice.append(metrics.dice(metrics.count(segmented.masks[r], truth[r])))
    evidence = segmented.evidence
    agreements = [math.nan if e.agreement is None else e.agreement for e in evidence]
    mask = HeldMask(
        logits=steps_of(logits),
        tallies=np.stack(tallies),
        dice_by_share=np.asarray(shares),
        agreement=np.asarray(agreements),
        unmoved=np.asarray([e.unmoved for e in evidence]),
    )
    return mask, dice


def _after(text: str, _share: float) -> Event:
    """Of a training that is done, what is done after it."""
    return Advanced("train", 1, item=text)


def _file(case: str, used: tuple[str, ...]) -> str:
    return hashlib.sha256(json.dumps([case, used]).encode()).hexdigest()[:24] + ".npz"


def _last(name: str | None) -> str | None:
    return None if name is None else name.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _few(names: set[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
