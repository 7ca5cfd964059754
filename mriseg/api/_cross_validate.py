"""How good a recipe is: cross_validate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Unpack

from mriseg.api._given import Computing, OnEvent, Stored, StudyKeywords, run_of, store_of, where_of
from mriseg.api._running import run_to_end
from mriseg.api._settings import lists_settings
from mriseg.backends import AUTO
from mriseg.core.config import TrainConfig
from mriseg.core.train_settings import training_config
from mriseg.io.location import local_path
from mriseg.io.runs import Run
from mriseg.recipes import cross_validate as crossing
from mriseg.recipes.cross_validate import CrossOptions, CrossReport


@lists_settings(TrainConfig)
def cross_validate(
    store: Stored,
    out: str | Path,
    config: TrainConfig | None = None,
    *,
    source: str | Path | Run | None = None,
    options: CrossOptions | None = None,
    backend: Computing = AUTO,
    on_event: OnEvent | None = None,
    **settings: Unpack[StudyKeywords],
) -> CrossReport:
    """Measure every patient by a run that was trained alike without them.

    Args:
        store: of labelled cases.
        out: the folder, new or of this cross-validation begun before.
        config: of each training; its width, unless set, is the source's, or the paper's.
        source: the run that each training transfers from; None: from scratch.
        options: folds or groups that are left out, and what is measured; None: five folds.
        backend: where to compute.
        on_event: is handed each event.
        settings: go over ``config``, as in `train`; epochs and budget are of one training.
            ``executor`` and ``workers`` say who does the trainings, see `mriseg.predict`.

    Raises:
        ConfigError, InputError, OutputError, DivergedError: see
            `mriseg.recipes.cross_validate.cross_validate`.
    """
    run = None if source is None else run_of(source)
    inherited = {} if run is None else {"width": run.manifest.model["width"]}
    executor, workers = settings.pop("executor", None), settings.pop("workers", None)
    chosen = training_config(inherited, config, settings)
    options = options or CrossOptions()
    adopt = {part: run_of(path) for part, path in options.adopt.items()}
    recipe = crossing.cross_validate(
        store_of(store),
        local_path(out, "a cross-validation"),
        chosen,
        where_of(backend, executor, workers),
        source=run,
        options=replace(options, adopt=adopt),
    )
    return run_to_end(recipe, on_event)
