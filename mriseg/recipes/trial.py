"""One training of a study: run it, or the rest of it, and measure the patients held out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from mriseg.backends.base import Backend
from mriseg.core.comparison import METHODS, Method, Score
from mriseg.core.config import FREE_SETTINGS, TrainConfig
from mriseg.core.sampling import CaseEntry
from mriseg.core.trials import Trial
from mriseg.errors import BusyError, InputError
from mriseg.events import Event, Recipe, filtered
from mriseg.io import comparisons
from mriseg.io.comparisons import CaseResult, Plan, PlannedCase, SourceRun
from mriseg.io.runs import Checkpoint, Run
from mriseg.io.store import Store
from mriseg.recipes.evaluate import evaluate
from mriseg.recipes.lazy import Lazy
from mriseg.recipes.resume import begun_or_resumed
from mriseg.recipes.train import TrainReport, train
from mriseg.recipes.transfer import transfer

# Seconds within which another machine's lock is let go, after its process has ended.
_PATIENCE = 120.0


@dataclass(frozen=True)
class Study:
    """What all trainings of a comparison or a forecast share.

    Attributes:
        out: the study's folder.
        store: of the target task.
        source: the run that transfers start from; None where none transfers.
        backend: what computes, here or on a worker.
        config: of each training, up to seed, patients and transfer.
        cases: names of all cases of the store.
        patients: the cases that take part, by patient.
        regions: that are measured: name -> labels.
        folds: number of folds.
        new_head: whether transfers initialise the head again.
    """

    out: Path
    store: Store
    source: Lazy[Run] | None
    backend: Lazy[Backend]
    config: TrainConfig
    cases: frozenset[str]
    patients: Sequence[Sequence[CaseEntry]]
    regions: dict[str, tuple[int, ...]]
    folds: int
    new_head: bool

    @property
    def plan(self) -> Plan:
        """What must stay the same when the study is continued."""
        source = self.source
        return Plan(
            source=None if source is None else SourceRun(source().name, source().manifest.created),
            store=self.store.name,
            cases=tuple(
                PlannedCase(case.name, _patient(group), case.content)
                for group in self.patients
                for case in group
            ),
            regions=self.regions,
            folds=self.folds,
            new_head=self.new_head,
            config=self.config.model_dump(mode="json", exclude={"transfer", *FREE_SETTINGS}),
        )

    def sent(self) -> Study:
        """This study without what workers on other machines have no use for."""
        patients = [[replace(c, foreground=c.foreground[:0]) for c in g] for g in self.patients]
        store, out = self.store.absolute, self.out.absolute()
        return replace(self, store=store, out=out, patients=patients)

    def done(self, trial: Trial) -> Recipe[None]:
        """Train and measure.

        Where the run is still locked by a worker that was taken for dead, or by one of a command
        that was killed, that one gets some time to notice.

        Raises:
            InputError, DivergedError: see `train` and `measure`.
            BusyError: another process keeps the run.
        """
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                run = yield from self.train(trial)
                break
            except BusyError:
                if time.monotonic() > until:
                    raise
                time.sleep(1.0)
                yield Event()
        yield from self.measuring(trial, run)

    def measuring(self, trial: Trial, run: Run) -> Recipe[None]:
        """`measure`, as far as its events are shown."""
        # A hundred trainings yield too many events.
        yield from filtered(self.measure(trial, run), lambda _: None)

    @property
    def name_of_source(self) -> str:
        """The name of the run that transfers start from, or of none."""
        return "scratch" if self.source is None else self.source().name

    def is_done(self, trial: Trial) -> bool:
        """Whether the trial has a result."""
        return (self._folder(trial) / comparisons.RESULT).exists()

    def scores(self, trial: Trial) -> list[Score]:
        """The scores of a trial that is done, always from its file.

        Raises:
            InputError: the file is damaged, or not of the cases that were held out.
        """
        path = self._folder(trial)
        results = comparisons.read_result(path) or ()
        if sorted(result.case for result in results) != sorted(trial.held):
            raise InputError(
                f"{path / comparisons.RESULT} is not of the cases that were held out; start again "
                f"in another folder with --out"
            )
        return [_score(trial, result) for result in results]

    def train(self, trial: Trial) -> Recipe[Run]:
        """Train to the end, from the start or from where the training was stopped.

        Raises:
            InputError: other cases trained than were planned, so that it would compare nothing.
        """
        begin = partial(self._begin, trial)
        path = self._folder(trial)
        run = yield from begun_or_resumed(path, self.store, self.backend(), begin)
        if set(run.manifest.train) != set(trial.train):
            raise InputError(
                f"{run.path} was trained on {', '.join(run.manifest.train)}, and planned were "
                f"{', '.join(trial.train)}; start again in another folder with --out"
            )
        return run

    def measure(self, trial: Trial, run: Run) -> Recipe[None]:
        """Measure the cases held out, write the result, and drop the optimiser from the run.

        Raises:
            InputError: a case cannot be measured.
        """
        report = yield from evaluate(self.store, run, self.backend(), cases=trial.held)
        regions: dict[str, dict[str, float]] = {}
        for score in report.scores:
            regions.setdefault(score.case, {})[score.region] = score.dice
        missing = [name for name in trial.held if name not in regions]
        if missing:
            why = "; ".join(f"{case}: {reason}" for case, reason in report.skipped)
            raise InputError(
                f"{', '.join(missing)} cannot be measured ({why or 'the model was trained on them'}"
                f"); leave them out with --exclude"
            )
        patient = {case.name: _patient(group) for group in self.patients for case in group}
        seconds = float(run.read_log()[-1]["seconds"])
        # Only resuming would need the optimiser: most of a run's size, and there are many runs.
        last = run.load("last")
        run.save("last", Checkpoint(last.weights, {}, last.state))
        comparisons.write_result(
            run.path,
            [CaseResult(case, patient[case], seconds, dice) for case, dice in regions.items()],
        )

    def _folder(self, trial: Trial) -> Path:
        return self.out / "runs" / trial.place

    def _begin(self, trial: Trial) -> Recipe[TrainReport]:
        path, method = self._folder(trial), METHODS[trial.method]
        config = self._config(trial, method)
        if config.transfer is None:
            return train(self.store, config, self.backend(), out=path)
        assert self.source is not None, "only a study with a source transfers"
        return transfer(
            self.store,
            self.source(),
            config,
            self.backend(),
            weights=method.weights,
            new_head=self.new_head,
            out=path,
        )

    def _config(self, trial: Trial, method: Method) -> TrainConfig:
        others = self.cases - set(trial.train)
        update = {
            "seed": trial.seed,
            "exclude": tuple(sorted({*others, *self.config.exclude})),
            "transfer": method.transfer,
        }
        return self.config.model_copy(update=update)


def _patient(group: Sequence[CaseEntry]) -> str:
    """One name for all cases of a patient, whose files may name them differently."""
    return min(case.patient for case in group)


def _score(trial: Trial, result: CaseResult) -> Score:
    return Score(
        method=trial.method,
        size=trial.size,
        patients=trial.patients,
        seed=trial.seed,
        fold=trial.fold,
        patient=result.patient,
        case=result.case,
        dice=sum(result.regions.values()) / len(result.regions),
        regions=result.regions,
        seconds=result.seconds,
    )
