"""What commands take that was not named, and how they end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mriseg.core.wording import counted
from mriseg.errors import IncompleteError, MrisegError
from mriseg.events import Event, Notice
from mriseg.io.location import local_path

if TYPE_CHECKING:
    from mriseg.backends import Backend
    from mriseg.recipes.predict import PredictOptions

Draw = Callable[[Event], None]


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
    """The backend that was asked for; says which it is and why."""
    from mriseg.backends import describe

    backend = backend_of(**computing)
    facts = describe(backend)
    draw(
        Notice(
            f"backend {backend.name} ({facts['device name']}), {facts['precision']}: "
            f"{backend.reason}"
        )
    )
    return backend


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
        return given
    run = newest_run(RUNS, option)
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
    """Tell a stop (Ctrl-C) the run that it left, as a note, so that the message can name it."""
    began = time.time()
    try:
        yield
    except KeyboardInterrupt as stop:
        run = local_path(out) if out else _saved_since(began)
        if run is not None and (run / "last.safetensors").is_file():
            stop.add_note(str(run))
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
