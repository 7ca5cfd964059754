"""How good a recipe is on patients that chose nothing: each part held out of one training.

What it writes is described in `mriseg.io.cross_validations`, and beside that what an evaluation
writes (`mriseg.recipes.scores.reported`), and ``report.html``.

The trainings are alike but for their patients, and none has validation patients. What is measured
of a part is made with the calibration of the other parts, so that its patients chose neither
weights nor threshold. Finished trainings are not repeated, and one that was stopped is resumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mriseg.core.comparison import BASELINE
from mriseg.core.config import TrainConfig
from mriseg.core.cross_validation import (
    Division,
    Grouping,
    Subset,
    checked_subsets,
    divided,
    subset_name,
    usual_subsets,
)
from mriseg.core.pooled_calibration import Figure, figures
from mriseg.core.trials import ALL
from mriseg.errors import ConfigError
from mriseg.events import Notice, Recipe, Wrote
from mriseg.io import cross_validations
from mriseg.io.cross_validations import CrossValidation, GivenCalibration
from mriseg.io.disk.locks import locked
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.overview.shown import Shown
from mriseg.overview.values import Column, Overview
from mriseg.recipes import overviews
from mriseg.recipes.about import Heard, about
from mriseg.recipes.case_work import Where, backend_for
from mriseg.recipes.held_out import CrossStudy, adopted, check_given
from mriseg.recipes.held_scores import HeldScores, held_scores, of_subset
from mriseg.recipes.loaded import lazy_run
from mriseg.recipes.scores import EvaluateReport, reported
from mriseg.recipes.setup import Setup, versions
from mriseg.recipes.trainings import (
    all_scores,
    announced,
    claim,
    common_setup,
    extent,
    study_workers,
    unseen,
)
from mriseg.report import html
from mriseg.report.pages.cross_validation import cross_validation_page

_TRANSFER = "full"


@dataclass(frozen=True)
class CrossOptions:
    """Who is held out, and what is measured.

    Attributes:
        folds: number of folds of patients, where no groups are left out.
        leave_out: groups that are left out whole, one after the other; None: folds.
        groups: of the cases, to report and calibrate by; None: the groups that are left out.
        subsets: of the modalities, in which each case held out is measured; None: all that it has,
            and, where training saw cases without some modality, each alone.
        adopt: part -> a finished run, which is taken in place of its training.
    """

    folds: int = 5
    leave_out: Grouping | None = None
    groups: Grouping | None = None
    subsets: tuple[Subset, ...] | None = None
    adopt: Mapping[str, Run] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class CrossReport(Shown):
    """What a cross-validation measured, and where it is written.

    Attributes:
        path: the folder.
        measured: means with intervals, and how they came about.
        scores: of each case with all of its modalities, or the first subset that was asked for.
        calibration: from all patients held out; None: too few of them show each region.
    """

    path: Path
    measured: CrossValidation
    scores: EvaluateReport
    calibration: GivenCalibration | None

    @property
    def page(self) -> Path | None:
        """Its page; None where there is none."""
        return overviews.page_in(self.path)

    def dice(self, group: str = "", subset: str = ALL) -> tuple[Figure, ...]:
        """The Dice of each region in a group, by a subset of modalities; "": of all patients."""
        return tuple(
            row
            for row in self.measured.figures
            if (row.group, row.subset, row.metric) == (group, subset, "dice")
        )

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        shown = ("group", "subset", "region", "patients", "mean", "low", "high", "median")
        return Overview(
            title=f"cross-validation {self.path}: {sum(self.measured.parts.values())} patients, "
            f"each by a run that never saw it",
            records=[asdict(row) for row in self.measured.figures if row.metric == "dice"],
            columns=tuple(Column(name, name) for name in shown),
            pictures=(self.path / "dice.png",),
            page=self.page,
        )


def cross_validate(
    store: Store,
    out: Path,
    config: TrainConfig,
    backend: Where,
    *,
    source: Run | None = None,
    options: CrossOptions | None = None,
) -> Recipe[CrossReport]:
    """Train once without each part of the patients, and measure that part with it.

    Args:
        store: of labelled cases. Patients that the source was trained on are left out.
        out: the folder, new or of this cross-validation begun before.
        config: of each training: epochs or budget are of one.
        backend: where to compute, or the workers that do.
        source: the run that each training transfers from; None: from scratch.
        options: who is held out, and what is measured; None: the defaults.

    Raises:
        ConfigError: store, configuration, source and options do not fit; before the first step.
        InputError: a file of ``out`` is damaged, a run to adopt is of another training, or a case
            cannot be measured.
        OutputError: ``out`` is taken by something else or cannot be written.
        BusyError: another process is at work there.
        DivergedError: a loss became NaN or infinite.
        WorkerError: workers are not there, went away, or lack something.
    """
    options = options or CrossOptions()
    setup, base = _common_setup(store, source, config, options)
    groups, left_out = unseen(setup, source)
    division = divided(
        [case for group in groups for case in group],
        BASELINE if source is None else _TRANSFER,
        base.seed,
        count=options.folds,
        leave_out=options.leave_out,
        groups=options.groups,
    )
    study = CrossStudy(
        out=out,
        store=store,
        source=None if source is None else lazy_run(source),
        backend=backend_for(backend),
        config=base,
        cases=frozenset(case.name for case in setup.index.cases),
        patients=groups,
        regions=setup.task.regions,
        folds=len(division.trials),
        new_head=False,
        trials=division.trials,
        subsets=_subsets(setup, base, options),
        groups=dict(division.groups),
    )
    _check_measures(study)
    check_given(study, dict(options.adopt))
    with locked(out, "cross-validate"):
        claim(out, study.plan, "cross-validation")
        adopting = adopted(study, dict(options.adopt))
        what = [*division.sentences, *adopting, extent(study, study.trials, _factors(options))]
        with study_workers(study, backend, study.trials) as workers:
            said = announced(study, left_out, [*what, _measured(study)], workers.notes)
            heard = Heard([*setup.notices, *workers.notices, *said])
            for text in heard.notices:
                yield Notice(text)
            yield from all_scores(study, study.trials, "cross-validate", workers)
            machine = workers.machine
        scores = yield from held_scores(study)
        result = _result(study, division, options, scores)
        return (yield from _written(study, result, scores, heard, machine))


def _common_setup(
    store: Store, source: Run | None, config: TrainConfig, options: CrossOptions
) -> tuple[Setup, TrainConfig]:
    """The setup of all trainings, and their configuration up to patients."""
    if source is None and config.transfer is not None:
        raise ConfigError(
            "how a transfer trains is for trainings from a run: name one with --from, or leave "
            "--freeze, the other options of a transfer and [transfer] out"
        )
    if source is not None and config.encoder_weights is not None:
        raise ConfigError("each training takes its weights from a run: leave --encoder-weights out")
    return common_setup(store, config, source)


def _subsets(setup: Setup, config: TrainConfig, options: CrossOptions) -> tuple[Subset, ...]:
    reads = setup.task.modalities
    if options.subsets is not None:
        return checked_subsets(options.subsets, reads)
    return usual_subsets(reads, saw_gaps=setup.incomplete or config.augment.drop_modality > 0)


def _check_measures(study: CrossStudy) -> None:
    """Refuse a part of which nothing would be measured."""
    for trial in study.trials:
        if not study.wanted(trial):
            asked = ", ".join(map(subset_name, study.subsets))
            raise ConfigError(
                f"no case of {trial.part} has the modalities of any subset ({asked}): add all, or "
                f"others"
            )


def _factors(options: CrossOptions) -> dict[str, int]:
    if options.leave_out is not None:
        return {"group": len(options.leave_out.groups)}
    return {"fold": options.folds}


def _measured(study: CrossStudy) -> str:
    subsets = ", ".join(map(subset_name, study.subsets))
    return f"each patient held out is measured with these modalities: {subsets}"


def _result(
    study: CrossStudy, division: Division, options: CrossOptions, scores: HeldScores
) -> CrossValidation:
    people = division.patients
    return CrossValidation(
        store=study.store.name,
        source=None if study.source is None else study.source().name,
        modalities=study.reads,
        regions=study.regions,
        width=int(study.config.width or 0),
        config=study.plan.config,
        leaves_out=options.leave_out is not None,
        parts={t.part: len({people[name] for name in t.held}) for t in study.trials},
        trained={t.part: t.patients for t in study.trials},
        groups=tuple(sorted({of for of in division.groups.values() if of})),
        subsets=tuple(map(subset_name, study.subsets)),
        nested=scores.nested,
        figures=tuple(figures(scores.rows)),
    )


def _written(
    study: CrossStudy, result: CrossValidation, scores: HeldScores, heard: Heard, machine: str
) -> Recipe[CrossReport]:
    """Write what came of it, and report it."""
    out = study.out
    calibration = _calibration(result, scores)
    if calibration is None:
        yield Notice(
            "too few patients show each region to calibrate by: a training takes the calibration "
            "that follows from its loss"
        )
    else:
        cross_validations.write_calibration(out, calibration)
        yield Wrote(out / cross_validations.CALIBRATION, "calibration, for --calibration")
    report = yield from reported(
        EvaluateReport(
            tuple(of_subset(scores, result.subsets[0])),
            (),
            prediction={
                "model": f"cross-validation {out.name}",
                "store": study.store.name,
                "modalities": None if result.subsets[0] == ALL else result.subsets[0].split("+"),
            },
            notices=tuple(heard.notices),
        ),
        out,
        pictures=True,
    )
    cross_validations.write_cross_validation(out, result, _rows(scores))
    yield Wrote(out, f"{cross_validations.JSON} and {cross_validations.CSV}")
    noted = about(versions(), heard=heard, settings=result.config, machine=machine)
    path = out / html.FILE
    html.write(path, cross_validation_page(result, report.scores, report.summary, noted))
    yield Wrote(path, "report")
    return CrossReport(out, result, report, calibration)


def _calibration(result: CrossValidation, scores: HeldScores) -> GivenCalibration | None:
    """For a run on all patients; None where a region is shown by too few of them."""
    if set(scores.pooled) != set(result.regions):
        return None
    return GivenCalibration(
        modalities=result.modalities,
        regions=result.regions,
        width=result.width,
        config=result.config,
        calibrations=scores.pooled,
        patients=sum(result.parts.values()),
        groups=result.groups,
        subsets=result.subsets,
        certainty=scores.certainty,
    )


def _rows(scores: HeldScores) -> Sequence[Mapping[str, object]]:
    return [
        {
            **{"patient": case.patient, "group": case.group, "part": case.part},
            **{"subset": case.subset, "used": "+".join(case.used)},
            **asdict(row),
        }
        for case, row in scores.rows
    ]
