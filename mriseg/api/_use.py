"""Use a model: predict, evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from mriseg.api._given import (
    Computing,
    OnEvent,
    Stored,
    WorkKeywords,
    names_of,
    path_of,
    run_of,
    store_of,
    where_of,
)
from mriseg.api._running import run_to_end
from mriseg.backends import AUTO
from mriseg.core.bids_output import Sessions
from mriseg.core.parts import Part
from mriseg.core.regions import Regions
from mriseg.io.finding import Kind, what_is
from mriseg.io.location import Location, local_path
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes import evaluate as evaluations
from mriseg.recipes import evaluate_masks as mask_evaluations
from mriseg.recipes import predict as predictions
from mriseg.recipes.evaluate_scans import evaluate_scans
from mriseg.recipes.predict import PredictOptions, PredictReport
from mriseg.recipes.scores import EvaluateReport


def predict(
    source: str | Path | Location,
    out: str | Path,
    run: str | Path | Run,
    options: PredictOptions | None = None,
    *,
    layout: str = "auto",
    channels: str | Sequence[str] | None = None,
    cases: str | Sequence[str] | Part | Sessions | None = None,
    backend: Computing = AUTO,
    on_event: OnEvent | None = None,
    **work: Unpack[WorkKeywords],
) -> PredictReport:
    """Write masks for scans, each on its scan's own grid.

    See `mriseg.recipes.predict.predict` for the arguments and what is raised. A case that cannot
    be used is in the report's ``skipped``, not raised. ``executor`` and ``workers`` say who does
    the cases, as `mriseg.recipes.case_work.Workers` takes them; without, this process does.
    """
    where = where_of(backend, **work)
    recipe = predictions.predict(
        Location.of(source),
        local_path(out, "a folder of masks"),
        run_of(run),
        where,
        options,
        layout=layout,
        channels=names_of(channels),
        cases=cases if isinstance(cases, Part | Sessions) else names_of(cases),
    )
    return run_to_end(recipe, on_event)


def evaluate(
    store: Stored,
    run: str | Path | Run,
    options: PredictOptions | None = None,
    *,
    include_seen: bool = False,
    cases: str | Sequence[str] | None = None,
    out: str | Path | None = None,
    pictures: bool = True,
    backend: Computing = AUTO,
    on_event: OnEvent | None = None,
    **work: Unpack[WorkKeywords],
) -> EvaluateReport:
    """Measure a model on the labelled cases of a store that it was not trained on.

    ``store`` may also be a folder of scans or a table of cases, which is then preprocessed for this
    alone. See `mriseg.recipes.evaluate.evaluate` for the arguments and what is raised, and
    `predict` for ``executor`` and ``workers``.
    """
    asked: dict[str, Any] = {
        "options": options,
        "include_seen": include_seen,
        "cases": names_of(cases),
        "out": path_of(out),
        "pictures": pictures,
    }
    opened, where = run_of(run), where_of(backend, **work)
    if not isinstance(store, Store) and what_is(Location.of(store)) is Kind.SCANS:
        scans = local_path(store, "a folder of scans")
        return run_to_end(evaluate_scans(scans, opened, where, **asked), on_event)
    return run_to_end(evaluations.evaluate(store_of(store), opened, where, **asked), on_event)


def evaluate_masks(
    masks: str | Path,
    truths: str | Path,
    *,
    regions: str | Regions | None = None,
    tolerance: float = 2.0,
    out: str | Path | None = None,
    pictures: bool = True,
    on_event: OnEvent | None = None,
) -> EvaluateReport:
    """Measure mask files of any origin against truth files of the same names.

    See `mriseg.recipes.evaluate_masks.evaluate_masks` for the arguments and what is raised.
    """
    recipe = mask_evaluations.evaluate_masks(
        local_path(masks, "a folder of masks"),
        local_path(truths, "a folder of truths"),
        regions=regions,
        tolerance=tolerance,
        out=path_of(out),
        pictures=pictures,
    )
    return run_to_end(recipe, on_event)
