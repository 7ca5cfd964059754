"""The call of a BIDS App: the sessions of a data set, predicted into a derivative."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mriseg.core.bids_output import Sessions
from mriseg.core.wording import counted
from mriseg.errors import ConfigError, InputError
from mriseg.events import Began, Notice, Recipe
from mriseg.io import bids_validator
from mriseg.io.location import Location
from mriseg.io.runs import Run
from mriseg.recipes.case_work import Where
from mriseg.recipes.predict import PredictOptions, PredictReport, predict

PARTICIPANT, GROUP = "participant", "group"

# Errors of a data set in a message.
_MAX_LISTED = 3


def bids_app(
    source: Path,
    out: Path,
    run: Run,
    backend: Where,
    options: PredictOptions | None = None,
    *,
    sessions: Sessions | None = None,
    validates: bool = True,
) -> Recipe[PredictReport]:
    """Predict a BIDS data set into a BIDS derivative, as `predict` does with ``options.bids``.

    Args:
        source: the data set.
        out: the folder of the derivative.
        run: the model.
        backend: where to compute, or the workers that do.
        options: None: the defaults.
        sessions: only these; None: all.
        validates: ask the validator of BIDS first, where it is installed.

    Raises:
        InputError: the data set has errors, or there is no session.
        OutputError: see `mriseg.recipes.predict.predict`.
    """
    if not source.is_dir():
        raise InputError(f"there is no folder {source}")
    if validates:
        yield from _validated(source)
    options = replace(options or PredictOptions(), bids=True)
    predicting = predict(
        Location.of(source), out, run, backend, options, layout="bids", cases=sessions
    )
    return (yield from predicting)


def check_level(level: str) -> None:
    """Refuse an analysis level that there is not.

    Raises:
        ConfigError: it is not "participant".
    """
    if level == GROUP:
        raise ConfigError(
            f"there is no analysis level {GROUP}: each participant is segmented alone, with the "
            f"level {PARTICIPANT}, and volumes.csv in the output has all of them in one table"
        )
    if level != PARTICIPANT:
        raise ConfigError(f"there is no analysis level {level!r}; the only one is {PARTICIPANT}")


def _validated(source: Path) -> Recipe[None]:
    """Refuse a data set with errors.

    Raises:
        InputError: it has some.
    """
    if bids_validator.program() is None:
        yield Notice(
            f"{source} is not validated: {bids_validator.INSTALL} brings the validator of BIDS"
        )
        return
    yield Began("validate", 1, "data set")
    problems = bids_validator.problems_of(source)
    if problems:
        listed = "; ".join(f"{each.code} {each.where}" for each in problems[:_MAX_LISTED])
        more = f"; and {len(problems) - _MAX_LISTED} more" if len(problems) > _MAX_LISTED else ""
        raise InputError(
            f"{source} has {counted(len(problems), 'error')} by the validator of BIDS: {listed}"
            f"{more}; correct them, list what is no part of the data set in .bidsignore, or "
            f"continue with --skip-bids-validation"
        )
