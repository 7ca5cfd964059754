"""What commands take that was not named, and how they end."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from mriseg.cli import options
from mriseg.core.wording import agreeing, counted
from mriseg.errors import IncompleteError, MrisegError, RankError
from mriseg.events import Event, Notice
from mriseg.io.location import local_path

if TYPE_CHECKING:
    from mriseg.backends import Backend
    from mriseg.core.choice import Choice
    from mriseg.recipes.predict import PredictOptions

Draw = Callable[[Event], None]
Trackers = Annotated[
    list[str] | None,
    options.option(
        "--tracker",
        "Also hand the settings and each epoch's numbers to this tracker: mlflow. May be repeated; "
        "a resumed run goes on in its trackers by itself.",
        "NAME",
    ),
]

# Skipped cases in a message; each was said when it was skipped.
_MAX_LISTED = 5


def backend_of(
    backend: str, precision: str, deterministic: bool = False, compiling: str = "auto"
) -> Backend:
    """The backend that was asked for.

    Raises:
        ConfigError, BackendError: see `mriseg.backends.select`.
    """
    from mriseg.backends import select

    return select(backend, precision=precision, deterministic=deterministic, compile=compiling)


def select_backend(draw: Draw, **computing: Any) -> Backend:
    """The backend that was asked for; says which it is, and why where that may surprise."""
    from mriseg.backends import describe
    from mriseg.backends.machine import graphics

    backend = backend_of(**computing)
    facts = describe(backend)
    text = f"backend {backend.name}, {facts['precision']}"
    unused = graphics() if backend.name == "cpu" and computing["backend"] == "auto" else ""
    if unused:
        draw(Notice(f"{text}, although this machine seems to have {unused}: {backend.reason}"))
    else:
        draw(Notice(f"{text} (why: mriseg info)"))
    return backend


def computing_for(
    draw: Draw, work: Mapping[str, Any], computing: Mapping[str, Any]
) -> Backend | Choice:
    """The backend that was asked for; where workers elsewhere compute, what each will select."""
    from mriseg.core.choice import Choice
    from mriseg.recipes.case_work import Workers

    if work["executor"] is None or not Workers(work["executor"]).are_elsewhere:
        return select_backend(draw, **computing)
    return Choice(
        computing["backend"],
        computing["precision"],
        computing["deterministic"],
        computing.get("compiling", "auto"),
    )


def store_or_only(draw: Draw, given: str | None) -> str:
    """The store that was named, or the only one in this folder."""
    from mriseg.io.finding import only_store

    if given is not None:
        return given
    store = only_store(Path())
    draw(Notice(f"store {store}, the only one in this folder"))
    return str(store)


def run_or_newest(draw: Draw, given: str | None, option: str = "--model") -> str | Path:
    """The run or model that was named, or the newest run under ``runs/``."""
    from mriseg.io.runs import RUNS, newest_run

    if given is not None:
        return pinned(draw, given)
    run = newest_run(RUNS, option)
    draw(Notice(f"run {run}, the newest under {RUNS}/"))
    return run


def pinned(draw: Draw, given: str) -> str:
    """The model that was named; one on the Hub by its commit, which is said where it was not given.

    A branch may be another model tomorrow.
    """
    from mriseg.io.hub import address, fetching

    if not address.is_address(given):
        return given
    named = address.Address.of(given)
    commit = fetching.pinned(named)
    if commit != named:
        draw(Notice(f"{given} is now {commit}; name that to use this very model again"))
    return str(commit)


def newest_stopped(draw: Draw) -> Path:
    """The newest run under ``runs/`` that was stopped before its end."""
    from mriseg.io.runs import RUNS, newest_unfinished_run

    run = newest_unfinished_run(RUNS)
    draw(Notice(f"run {run}, the newest under {RUNS}/ that was stopped"))
    return run


@contextmanager
def naming_the_run(out: Path | None) -> Iterator[None]:
    """Tell a stop which run it left and how to continue it, as a note for the message.

    What stops it is Ctrl-C, or another process that trains with this one.

    Args:
        out: the run's folder; None: the one that was begun in here.
    """
    began = time.time()
    try:
        yield
    except (KeyboardInterrupt, RankError) as stop:
        run = local_path(out) if out else _saved_since(began)
        if run is not None and (run / "last.safetensors").is_file():
            resume = f"mriseg train --resume {shlex.quote(str(run))}"
            stop.add_note(f"the latest checkpoint is kept; continue with: {resume}")
        raise


@contextmanager
def naming_the_comparison(out: Path | None, option: str = "--out") -> Iterator[None]:
    """Tell a stop (Ctrl-C) how to continue a comparison, as a note for the message."""
    try:
        yield
    except KeyboardInterrupt as stop:
        named = "the --out that is named above"
        folder = named if out is None else f"{option} {shlex.quote(str(out))}"
        stop.add_note(f"finished trainings are kept; continue with the same options and {folder}")
        raise


def _saved_since(began: float) -> Path | None:
    from mriseg.io.runs import RUNS, newest_unfinished_run

    try:
        run = newest_unfinished_run(RUNS)
        return run if (run / "last.safetensors").stat().st_mtime >= began else None
    except (MrisegError, OSError):
        return None


def predict_options(modalities: str | None, **given: float | bool | str | None) -> PredictOptions:
    """How to predict, from what was typed."""
    from mriseg.core.train_settings import modality_names
    from mriseg.recipes.predict import PredictOptions

    return PredictOptions(modalities=modality_names(modalities), **given)  # type: ignore[arg-type]


def check_complete(
    skipped: Sequence[tuple[str, str]], done: int, kept_in: Path | None = None
) -> None:
    """Say what was skipped, by case and reason.

    Args:
        skipped: (case, reason).
        done: how many cases were not skipped.
        kept_in: the file that has the reasons too.

    Raises:
        IncompleteError: anything was.
    """
    if not skipped:
        return
    count, total = len(skipped), counted(len(skipped) + done, "case")
    listed = ", ".join(f"{case} ({reason})" for case, reason in skipped[:_MAX_LISTED])
    more = f" and {count - _MAX_LISTED} more" if count > _MAX_LISTED else ""
    where = f"; the reasons are in {kept_in}" if kept_in else ""
    raise IncompleteError(
        f"{count} of {total} {agreeing(count, 'was', 'were')} skipped: {listed}{more}{where}"
    )


def check_json(file: str | None) -> None:
    """Refuse a ``--json FILE`` that cannot be written, before the work.

    Raises:
        ConfigError: it is a URL.
        OutputError: its folder cannot be written.
    """
    if file is not None and file != "-":
        from mriseg.io.disk.space import check_writable

        check_writable(local_path(file, "a report").parent)
