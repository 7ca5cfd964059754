"""Use a model as a BIDS App."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from mriseg.api._given import Computing, OnEvent, WorkKeywords, run_of, where_of
from mriseg.api._running import run_to_end
from mriseg.backends import AUTO
from mriseg.core.bids_output import Sessions
from mriseg.io.location import local_path
from mriseg.io.runs import Run
from mriseg.recipes.bids_app import bids_app
from mriseg.recipes.predict import PredictOptions, PredictReport


def bids(
    source: str | Path,
    out: str | Path,
    run: str | Path | Run,
    options: PredictOptions | None = None,
    *,
    sessions: Sessions | None = None,
    validates: bool = True,
    backend: Computing = AUTO,
    on_event: OnEvent | None = None,
    **work: Unpack[WorkKeywords],
) -> PredictReport:
    """Write masks for a BIDS data set, as a BIDS derivative.

    ``Sessions(("01", "02"))`` are those of two participants. See
    `mriseg.recipes.bids_app.bids_app` for the arguments and what is raised, and
    `mriseg.predict` for ``executor`` and ``workers``.
    """
    recipe = bids_app(
        local_path(source, "a BIDS data set"),
        local_path(out, "a folder of masks"),
        run_of(run),
        where_of(backend, **work),
        options,
        sessions=sessions,
        validates=validates,
    )
    return run_to_end(recipe, on_event)
