"""Processes on this machine: what is used where nothing else is asked for.

A process that is spawned imports the script that started it. Where the script's calls are not under
``if __name__ == "__main__":`` it would run them all again; so such a process ends, and the error
says so (`UnguardedError`): the work is then done without any.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any, TypeVar

from mriseg.errors import ConfigError, WorkerError
from mriseg.events import Event, Recipe, finish
from mriseg.executors.base import LostError

T = TypeVar("T")
R = TypeVar("R")

# What asks a whole group of processes to stop: Ctrl-C, a closed terminal, a time limit.
_STOPPING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]

_GUARD = 'if __name__ == "__main__":'
# Of the processes, by which they know whose they are; and how one ends that was started too often.
_NAME = "mriseg-worker"
_UNGUARDED = 83
# How one ends that is not wanted any more.
_UNWANTED = 84
_THREADS = "OMP_NUM_THREADS"


class UnguardedError(WorkerError):
    """No process can import the script that would start it; none has begun with any work."""


def default_workers() -> int:
    """Processes that are taken by default: one per core, eight at most."""
    return min(os.cpu_count() or 1, 8)


class ProcessPool:
    """Processes on this machine; see `mriseg.executors.base.Pool`.

    Args:
        workers: how many.
    """

    packages = ()

    def __init__(self, workers: int) -> None:
        self.place = "this machine"
        self.advice = (
            "leave it out, or start again with --workers 1: the same command continues with the "
            "remaining cases"
        )
        self._workers = workers
        self._context = _Spawning()
        self._start()

    @property
    def executor(self) -> Executor:
        """See `mriseg.executors.base.Pool.executor`."""
        return _SignalsLater(self._executor)

    @property
    def at_once(self) -> int:
        """One more than there are workers, so that none waits for the next."""
        return self._workers + 1

    def tend(self) -> str:
        """Nothing has to be done meanwhile."""
        return ""

    def renew(self) -> None:
        """Start others in the place of those that died.

        Raises:
            UnguardedError, WorkerError: they could not even start.
        """
        # What the others were at is lost with the executor.
        self.close(at_once=True)
        self._context.check_started()
        self._start()

    def meaning(self, error: BaseException) -> BaseException:
        """See `mriseg.executors.base.Pool.meaning`."""
        return LostError(str(error)) if isinstance(error, BrokenExecutor) else error

    def on_each(self, function: Callable[[T], R], item: T) -> Mapping[str, R | Exception]:
        """See `mriseg.executors.base.Pool.on_each`; all are alike, so one is asked."""
        name = f"a process on {socket.gethostname()}"
        try:
            return {name: self.executor.submit(function, item).result()}
        except Exception as error:
            return {name: error}

    def close(self, *, at_once: bool) -> None:
        """End the processes.

        Args:
            at_once: without waiting for what they are at, which is started again another time.
        """
        if at_once:
            self._life.close()
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._life.close()
        self._living.close()

    def _start(self) -> None:
        self._living, self._life = self._context.Pipe(duplex=False)
        self._executor = ProcessPoolExecutor(
            self._workers,
            mp_context=self._context,
            initializer=_live_with_parent,
            initargs=(self._living, max(1, (os.cpu_count() or 1) // self._workers)),
        )


class Processes:
    """Processes on this machine; see `mriseg.executors.base.Kind`."""

    name = "processes"
    summary = "processes on this machine"
    elsewhere = False

    @contextmanager
    def pool(self, address: str, workers: int | None) -> Iterator[ProcessPool]:
        """See `mriseg.executors.base.Kind.pool`.

        Raises:
            ConfigError: an address was given.
            UnguardedError: the script that runs cannot be imported by other processes.
        """
        if address:
            raise ConfigError(
                f"--executor processes:{address}: processes of this machine have no address; give "
                f"their number with --workers N"
            )
        if why := _why_alone():
            raise UnguardedError(why)
        pool = ProcessPool(workers or default_workers())
        try:
            yield pool
        except BaseException:
            pool.close(at_once=True)
            raise
        else:
            pool.close(at_once=False)


EXECUTOR = Processes()


def _why_alone() -> str:
    """Why other processes could not start; empty where they can."""
    if multiprocessing.current_process().daemon:
        return (
            "this process is a daemonic one, which may start no others: one process does all cases"
        )
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or getattr(main, "__spec__", None) is not None or Path(file).exists():
        return ""
    return (
        "this Python program is not in a file, so that no other process can import it: one process "
        "does all cases"
    )


class _Spawning(SpawnContext):
    """Spawns processes, and knows how they ended.

    Spawned, since forking a process that runs threads (torch's, zarr's) can deadlock.
    """

    def __init__(self) -> None:
        super().__init__()
        self._started: list[SpawnProcess] = []

    def Process(self, *args: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        process = SpawnProcess(*args, **{**options, "name": _NAME})
        self._started.append(process)
        return process

    def check_started(self) -> None:
        """Whether the processes that ended had started at all.

        Raises:
            UnguardedError: the script that started them runs its calls where it is imported, too.
            WorkerError: they could not start for another reason.
        """
        codes = [process.exitcode for process in self._started]
        if _UNGUARDED in codes:
            raise UnguardedError(
                f"one process does all cases, since this script has no {_GUARD}: put its calls "
                f"under that line to use several, or set workers=1"
            )
        if any(code is not None and code > 0 and code != _UNWANTED for code in codes):
            raise WorkerError(
                f"a worker process could not start, for the reason above. In a script, put the "
                f"calls under {_GUARD}, or set workers=1 (--workers 1)"
            )


class _SignalsLater(Executor):
    """Starts processes that do not hear of signals until they can handle them."""

    def __init__(self, executor: ProcessPoolExecutor) -> None:
        self._executor = executor

    def submit(self, function: Any, /, *args: Any, **options: Any) -> Any:
        with _signals_later():
            return self._executor.submit(function, *args, **options)


def carry_out(recipe: Recipe[R], on_event: Callable[[Event], None] | None = None) -> R:
    """`mriseg.events.finish`, but for a process that has only just come to import the script.

    One of a `ProcessPool` would do again what the script's process does, and ends. Nobody else's
    process ends here.
    """
    process = multiprocessing.current_process()
    if process.name == _NAME and getattr(process, "_inheriting", False):
        os._exit(_UNGUARDED)
    return finish(recipe, on_event)


def _live_with_parent(living: Connection, threads: int) -> None:
    """A process whose parent was killed would wait for work for ever.

    Args:
        living: ends when the parent does, or when it wants no more.
        threads: that libraries may compute in, so that all processes together take the cores once.
    """
    # They are the parent's to handle.
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    # Nothing that reads it is imported yet; what a user set stays.
    os.environ.setdefault(_THREADS, str(threads))

    def watch() -> None:
        with suppress(EOFError, OSError):
            living.recv_bytes()
        # As any process of multiprocessing's ends; or else it warns of the semaphores that
        # libraries made in this one, such as numcodecs'.
        multiprocessing.util._run_finalizers(0)  # type: ignore[attr-defined]
        os._exit(_UNWANTED)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _signals_later() -> Iterator[None]:
    """Signals that come in here are heard of when the block has ended."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
