"""Work that is spread over processes: items in, results out as they are done.

`spread` takes any `concurrent.futures.Executor`, so that other machines can do the work as well;
`processes` makes one of processes on this machine.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import TypeVar

from mriseg.errors import MrisegError

T = TypeVar("T")
R = TypeVar("R")

# What asks a whole group of processes to stop: Ctrl-C, a closed terminal, a time limit.
_STOPPING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def default_workers() -> int:
    """Processes that preprocessing takes by default: one per core, eight at most."""
    return min(os.cpu_count() or 1, 8)


def results(function: Callable[[T], R], items: Sequence[T], workers: int) -> Iterator[R]:
    """``function`` of each item, in as many processes, in the order in which they are done.

    Args:
        function: can be pickled, as can the items and the results.
        items: what it is called with.
        workers: how many processes; with 1, or a single item, this one does it all.

    Raises:
        MrisegError: a process was killed.
    """
    if workers == 1 or len(items) < 2:
        yield from map(function, items)
        return
    workers = min(workers, len(items))
    with processes(workers) as pool:
        # One more than there are workers, so that none waits for the next.
        yield from spread(function, items, pool, workers + 1)


def spread(
    function: Callable[[T], R], items: Sequence[T], pool: Executor, at_once: int
) -> Iterator[R]:
    """``function`` of each item, done by ``pool``, ``at_once`` of them under way at a time."""
    left = list(reversed(items))
    running: set[Future[R]] = set()
    while left or running:
        while left and len(running) < at_once:
            with _signals_later():
                running.add(pool.submit(function, left.pop()))
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


@contextmanager
def processes(workers: int) -> Iterator[Executor]:
    """An executor of that many processes, which end with the block, and when this process dies.

    Raises:
        MrisegError: one of them was killed.
    """
    # Spawned, since forking a process that runs threads (torch's, zarr's) can deadlock.
    context = multiprocessing.get_context("spawn")
    living, life = context.Pipe(duplex=False)
    with (
        living,
        life,
        ProcessPoolExecutor(
            workers, mp_context=context, initializer=_live_with_parent, initargs=(living,)
        ) as pool,
    ):
        try:
            yield pool
        except BrokenProcessPool:
            raise MrisegError(
                "a preprocessing process was killed, most likely because memory ran out; "
                "start again with --workers 1: it continues with the remaining cases"
            ) from None
        except (KeyboardInterrupt, GeneratorExit):
            # Stopped: what is under way is started again another time, so nothing waits for it.
            life.close()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _live_with_parent(living: Connection) -> None:
    """A process whose parent was killed would wait for work for ever.

    Args:
        living: ends when the parent does, or when it wants no more.
    """
    # They are the parent's to handle.
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)

    def watch() -> None:
        with suppress(EOFError, OSError):
            living.recv_bytes()
        # As any process of multiprocessing's ends; or else it warns of the semaphores that
        # libraries made in this one, such as numcodecs'.
        multiprocessing.util._run_finalizers(0)  # type: ignore[attr-defined]
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _signals_later() -> Iterator[None]:
    """Processes that are started in here do not hear of signals until they can handle them."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
