"""What more patients would be worth: trainings of several sizes, and a curve through their Dice.

What it writes is described in `mriseg.io.forecasts`, and ``forecast.png`` and ``report.html``
beside that. The trainings are those of a comparison (`mriseg.recipes.compare`) of a single method:
the smaller are nested in the larger, and the patients held out are in none of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from mriseg.core.comparison import BASELINE, METHODS, Score
from mriseg.core.config import TrainConfig
from mriseg.core.forecast import Forecast
from mriseg.core.forecast import forecast as forecast_of
from mriseg.errors import ConfigError
from mriseg.events import Notice, Recipe, Wrote
from mriseg.io import forecasts, runs
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
from mriseg.recipes.trial import Study
from mriseg.report import html
from mriseg.report.forecast_chart import forecast_chart
from mriseg.report.pages.forecast import forecast_page

CHART = "forecast.png"
# Of the bootstrap: the same scores give the same intervals.
_SEED = 0
_TRANSFER = "full"
# Seconds of one training where neither epochs nor a budget are given. Fifty epochs of each size
# would give larger sizes more steps, and take hours.
_BUDGET = 600.0


@dataclass(frozen=True)
class ForecastOptions:
    """What a forecast is made from.

    Attributes:
        sizes: how many patients train, each a number or "all" that a fold leaves. None: 5, 10 and
            20 where a fold leaves more, and all.
        more: how many more patients there might be.
        folds: number of folds that the patients are split into and that are held out in turn.
        rounds: how many of the folds are held out; None: all.
        seeds: how often everything is repeated, with other folds, patients and weights.
    """

    sizes: tuple[str, ...] | None = None
    more: int = 10
    folds: int = 5
    rounds: int | None = None
    seeds: int = 1


@dataclass(frozen=True, repr=False)
class ForecastReport(Shown):
    """The result of a forecast, and where it is written.

    Attributes:
        path: the folder.
        scores: one per case and training.
        forecast: the curve, and what more patients would be worth.
    """

    path: Path
    scores: tuple[Score, ...]
    forecast: Forecast

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.forecasted(self)


def forecast(
    store: Store,
    source: Run | None,
    config: TrainConfig,
    backend: Where,
    options: ForecastOptions | None = None,
    *,
    out: Path | None = None,
) -> Recipe[ForecastReport]:
    """Train with several numbers of patients, and forecast what more would be worth.

    Args:
        store: of labelled cases. Patients that the source was trained on are left out.
        source: the run that each training transfers from; None: from scratch.
        config: of each training: epochs or budget are of one training, and its seed is the first.
            With neither, each has ten minutes.
        backend: where to compute, or the workers that do.
        options: sizes, folds and seeds; None: the defaults.
        out: the folder, new or of this forecast begun before; None: a new one under ``runs/``.

    Raises:
        ConfigError: store, configuration, source and options do not fit; before the first step.
        InputError: a file of ``out`` is damaged, or a case cannot be measured.
        OutputError: ``out`` is taken by something else or cannot be written.
        BusyError: another process is at work there.
        DivergedError: a loss became NaN or infinite.
        WorkerError: workers are not there, went away, or lack something.
    """
    options = options or ForecastOptions()
    setup, base = _common_setup(store, source, config, options)
    groups, left_out = unseen(setup, source)
    method = BASELINE if source is None else _TRANSFER
    planned = planned_trials(groups, [method], options, base.seed)
    study = Study(
        out=out or runs.fresh_path(runs.RUNS, f"forecast-{store.name}", datetime.now()),
        store=store,
        source=None if source is None else lazy_run(source),
        backend=backend_for(backend),
        config=base,
        cases=frozenset(case.name for case in setup.index.cases),
        patients=groups,
        regions=setup.task.regions,
        folds=options.folds,
        new_head=False,
    )
    factors = {
        "size": len({trial.size for trial in planned}),
        "fold": options.rounds or options.folds,
        "seed": options.seeds,
    }
    with locked(study.out, "forecast"):
        claim(study.out, study.plan, "forecast")
        what = [
            f"each training from {study.name_of_source}: {METHODS[method].what}",
            extent(study, planned, factors),
        ]
        with study_workers(study, backend, planned) as workers:
            said = announced(study, left_out, what, workers.notes)
            heard = Heard([*setup.notices, *workers.notices, *said])
            for text in heard.notices:
                yield Notice(text)
            scores = yield from all_scores(study, planned, "forecast", workers)
            machine = workers.machine
        result = forecast_of(
            scores, now=len(groups), more=options.more, generator=np.random.default_rng(_SEED)
        )
        forecasts.write_forecast(study.out, study.plan, scores, result)
        page = _draw(study, result, heard, machine)
        yield Wrote(study.out, f"{forecasts.JSON}, {forecasts.CSV} and {CHART}")
        yield Wrote(page, "report")
        return ForecastReport(study.out, tuple(scores), result)


def _common_setup(
    store: Store, source: Run | None, config: TrainConfig, options: ForecastOptions
) -> tuple[Setup, TrainConfig]:
    """The setup of all trainings, and their configuration up to seed and patients."""
    if config.transfer is not None:
        raise ConfigError(
            "a forecast transfers in one way, all weights trained: leave --freeze, the other "
            "options of a transfer and [transfer] out"
        )
    for name in ("seeds", "more"):
        if getattr(options, name) < 1:
            raise ConfigError(f"{name} = {getattr(options, name)}: expected at least 1")
    if config.encoder_weights is not None and source is not None:
        raise ConfigError("a forecast from a run takes its weights: leave --encoder-weights out")
    if config.epochs is None and config.budget is None:
        config = config.model_copy(update={"budget": _BUDGET})
    return common_setup(store, config, source)


def _draw(study: Study, result: Forecast, heard: Heard, machine: str) -> Path:
    """``forecast.png``, the curve and the points; and the page."""
    title = f"{study.store.name}, from {study.name_of_source}"
    forecast_chart(study.out / CHART, result, title)
    page = forecast_page(
        result,
        about(
            versions(),
            heard=heard,
            settings=study.plan.config,
            machine=machine,
        ),
        source=study.name_of_source,
        store=study.store.name,
        folds=study.folds,
    )
    path = study.out / html.FILE
    html.write(path, page)
    return path
