"""What commands take that was not named, and how they end."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mriseg.core.wording import counted
from mriseg.errors import ConfigError, IncompleteError, MrisegError
from mriseg.events import Event, Notice

if TYPE_CHECKING:
    from mriseg.backends import Backend
    from mriseg.recipes.predict import PredictOptions

Draw = Callable[[Event], None]


def backend_of(
    backend: str, precision: str, deterministic: bool = False, compiling: str = "auto"
) -> Backend:
    """The backend that was asked for.

    Raises:
        ConfigError, BackendError: see `mriseg.backends.select`; "gpu" names two kinds of them.
    """
    from mriseg.backends import select

    if backend.lower() == "gpu":
        raise ConfigError(f"--backend {backend}: choose cuda (NVIDIA, AMD) or mps (Mac)")
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


def store_or_only(draw: Draw, given: str | None) -> str:
    """The store that was named, or the only one in this folder."""
    from mriseg.io.finding import only_store

    if given is not None:
        return given
    store = only_store(Path())
    draw(Notice(f"store {store}, the only one in this folder"))
    return str(store)


def run_or_newest(draw: Draw, given: str | None) -> str | Path:
    """The run or model that was named, or the newest run under ``runs/``."""
    from mriseg.io.runs import RUNS, newest_run

    if given is not None:
        return given
    run = newest_run(RUNS)
    draw(Notice(f"run {run}, the newest under {RUNS}/"))
    return run


def newest_stopped(draw: Draw) -> Path:
    """The newest run under ``runs/`` that was stopped before its end."""
    from mriseg.io.runs import RUNS, newest_unfinished_run

    run = newest_unfinished_run(RUNS)
    draw(Notice(f"run {run}, the newest under {RUNS}/ that was stopped"))
    return run


@contextmanager
def naming_the_run(out: Path | None) -> Iterator[None]:
    """Tell a stop (Ctrl-C) which run it left and how to continue it, as a note for the message.

    Args:
        out: the run's folder; None: the one that was begun in here.
    """
    began = time.time()
    try:
        yield
    except KeyboardInterrupt as stop:
        run = out or _saved_since(began)
        if run is not None and (run / "last.safetensors").is_file():
            resume = f"mriseg train --resume {shlex.quote(str(run))}"
            stop.add_note(f"the latest checkpoint is kept; continue with: {resume}")
        raise


@contextmanager
def naming_the_comparison(out: Path | None) -> Iterator[None]:
    """Tell a stop (Ctrl-C) how to continue a comparison, as a note for the message."""
    try:
        yield
    except KeyboardInterrupt as stop:
        named = "the --out that is named above"
        folder = named if out is None else f"--out {shlex.quote(str(out))}"
        stop.add_note(f"finished trainings are kept; continue with the same options and {folder}")
        raise


def _saved_since(began: float) -> Path | None:
    from mriseg.io.runs import RUNS, newest_unfinished_run

    try:
        run = newest_unfinished_run(RUNS)
        return run if (run / "last.safetensors").stat().st_mtime >= began else None
    except (MrisegError, OSError):
        return None


def predict_options(modalities: str | None, **given: float | bool | None) -> PredictOptions:
    """How to predict, from what was typed."""
    from mriseg.core.train_settings import modality_names
    from mriseg.recipes.predict import PredictOptions

    return PredictOptions(modalities=modality_names(modalities), **given)  # type: ignore[arg-type]


def check_complete(skipped: Sequence[tuple[str, str]], done: int) -> None:
    """Say what was skipped, by case and reason.

    Raises:
        IncompleteError: anything was.
    """
    if skipped:
        total = counted(len(skipped) + done, "case")
        raise IncompleteError(
            f"{len(skipped)} of {total} skipped: "
            f"{', '.join(f'{case} ({reason})' for case, reason in skipped)}"
        )
