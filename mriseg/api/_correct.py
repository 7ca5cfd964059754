"""Correct a model's masks, and learn on from that: annotate, improve."""

from __future__ import annotations

from collections.abc import Callable
from getpass import getuser
from pathlib import Path
from typing import Unpack

from mriseg.annotation import annotate as sessions
from mriseg.annotation.annotate import AnnotateReport
from mriseg.api._given import OnEvent, backend_of, path_of, run_of
from mriseg.api._running import run_to_end
from mriseg.backends import AUTO, Backend
from mriseg.core.config import TrainConfig
from mriseg.core.keywords import ScanKeywords, TrainKeywords
from mriseg.core.train_settings import training_config
from mriseg.io.location import Location, local_path
from mriseg.io.runs import Run
from mriseg.recipes import improve as improving
from mriseg.recipes.improve import ImproveOptions, ImproveReport
from mriseg.recipes.scans import ScanOptions


def annotate(
    source: str | Path | Location,
    run: str | Path | Run,
    out: str | Path | None = None,
    *,
    who: str | None = None,
    port: int | None = None,
    backend: str | Backend = AUTO,
    on_event: OnEvent | None = None,
    on_ready: Callable[[str], None] = lambda _: None,
    **scans: Unpack[ScanKeywords],
) -> AnnotateReport:
    """Serve a local page on which a model's masks are looked at and corrected, until Ctrl-C.

    Args:
        source: a folder of scans, a table of cases, or a store.
        run: the model.
        out: the session's folder, new or to continue; None: one beside the scans, with
            "-annotation" after their name.
        who: the person who corrects, for the record; None: the name that the computer knows.
        port: to listen on, on this machine alone; None: a free one.
        backend: where to compute.
        on_event: is handed each event; the first notice has the page's address.
        on_ready: is handed the page's address once it can be opened.
        scans: how the scans are read, and ``labels``, a folder of segmentations that were made
            elsewhere and count as corrections; ``regions`` are the model's.

    Returns:
        What is recorded at the end.

    Raises:
        InputError: there is no case, or the folder's corrections are of other scans.
        OutputError: the folder cannot be written, or lies among the scans.
        ConfigError: the port is taken.
    """
    session, notices = sessions.open_session(
        Location.of(source),
        run_of(run),
        who or login_name(),
        path_of(out, "a folder of corrections"),
        ScanOptions(**scans),
    )
    recipe = sessions.annotate(session, backend_of(backend), notices, port=port, on_ready=on_ready)
    try:
        return run_to_end(recipe, on_event)
    except KeyboardInterrupt:
        # The way in which a session ends, whichever signal asked for it.
        return sessions.report_of(session)


def improve(
    run: str | Path | Run | None,
    corrections: str | Path,
    config: TrainConfig | None = None,
    *,
    scans: ScanKeywords | None = None,
    backend: str | Backend = AUTO,
    out: str | Path | None = None,
    on_event: OnEvent | None = None,
    **settings: Unpack[TrainKeywords],
) -> ImproveReport:
    """Learn on from corrected cases, and measure on others kept aside whether that helped.

    Args:
        run: the model to learn on from; None: the one in use, or else the one that was corrected.
        corrections: the folder of a session of `annotate`.
        config: of the training; None: the defaults, and ten minutes.
        scans: how the corrected scans are read, ``layout``, ``channels`` and ``workers``.
        backend: where to compute.
        out: the round's folder, new or begun before; None: the next one under ``runs/``.
        on_event: is handed each event.
        settings: go over ``config``, as in `mriseg.train`.

    Raises:
        ConfigError, InputError, OutputError, DivergedError: see `mriseg.recipes.improve.improve`.
    """
    folder = local_path(corrections, "a folder of corrections")
    chosen = run_of(improving.model_in_use(folder) if run is None else run)
    inherited = {"width": chosen.manifest.model["width"]}
    options = ImproveOptions(training_config(inherited, config, settings), scans)
    where = backend_of(backend)
    return run_to_end(improving.improve(chosen, folder, where, options, out=path_of(out)), on_event)


def login_name() -> str:
    """The name by which the computer knows its user; "unknown" where it knows none."""
    try:
        return getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
