"""What a user may give in place of an open store, a run or a backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TypedDict

from mriseg.backends import Backend, select
from mriseg.backends.launch import together
from mriseg.backends.ranks import Ranks
from mriseg.core.choice import Choice
from mriseg.core.keywords import TrainKeywords, TransferKeywords
from mriseg.core.train_settings import names
from mriseg.events import Event
from mriseg.io.location import Location, local_path
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes.case_work import Where, Workers
from mriseg.recipes.tracking import check_trackers
from mriseg.recipes.worker_check import lazy_backend

OnEvent = Callable[[Event], None]
Computing = str | Backend | Choice


class WorkKeywords(TypedDict, total=False):
    """Who does the cases; None: this process, one after another.

    ``executor`` is "processes", "dask:tcp://host:8786", "slurm:partition=gpu" and so on, or a
    `concurrent.futures.Executor`; ``workers`` is their number, which alone means processes.
    """

    executor: str | Executor | None
    workers: int | None


class StudyKeywords(TrainKeywords, WorkKeywords, total=False):
    """The settings of each training, and who does the trainings."""


class TransferringKeywords(TransferKeywords, total=False):
    """The settings of a transfer, and the trackers of its training."""

    trackers: str | Sequence[str]


Stored = str | Path | Location | Store


def backend_of(given: str | Backend) -> Backend:
    """A backend, given by its name or as `select` gave it."""
    return given if isinstance(given, Backend) else select(given)


def shared_backend(given: str | Backend, ranks: Ranks) -> Backend:
    """The same, as that of one of the processes that train together.

    Raises:
        BackendError: several processes cannot train on it.
    """
    return together(backend_of(given), ranks)


def where_of(
    backend: str | Backend | Choice,
    executor: str | Executor | None = None,
    workers: int | None = None,
) -> Where:
    """Where cases are done: in this process, or by the workers that were asked for."""
    if executor is None and (workers is None or workers == 1):
        if isinstance(backend, Choice):
            return lazy_backend(backend)()
        return backend_of(backend)
    if isinstance(backend, Backend):
        backend = backend.choice
    asked = backend if isinstance(backend, Choice) else Choice(backend)
    return Workers(executor, workers, asked)


def store_of(given: Stored) -> Store:
    """An open store, given as such or by its place."""
    return given if isinstance(given, Store) else open_store(given)


def run_of(given: str | Path | Run) -> Run:
    """An open run, given as such, by its folder or as a shipped model."""
    return given if isinstance(given, Run) else open_run(given)


def path_of(given: str | Path | None, what: str = "the output") -> Path | None:
    """A local path, or None."""
    return None if given is None else local_path(given, what)


def names_of(given: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Names, given as a list or with commas between them."""
    if given is None:
        return None
    return names(given) if isinstance(given, str) else tuple(given)


def trackers_of(given: str | Sequence[str]) -> tuple[str, ...]:
    """Names of trackers, which are there.

    Raises:
        UnknownNameError, ConfigError: see `mriseg.recipes.tracking.check_trackers`.
    """
    chosen = names_of(given) or ()
    check_trackers(chosen)
    return chosen
