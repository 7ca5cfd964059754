"""Work that is spread over processes: items in, results out as they are done.

`spread` takes any `concurrent.futures.Executor`, so that other machines can do the work as well;
`processes` makes one of processes on this machine.

A process that is spawned imports the script that started it. Where the script's calls are not under
``if __name__ == "__main__":`` it would run them all again; so such a process ends, and the work is
done without any.
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
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import Any, TypeVar

from mriseg.errors import MrisegError
from mriseg.events import Event, Recipe, finish

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


def default_workers() -> int:
    """Processes that preprocessing takes by default: one per core, eight at most."""
    return min(os.cpu_count() or 1, 8)


def results(
    function: Callable[[T], R],
    items: Sequence[T],
    workers: int,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[R]:
    """``function`` of each item, in as many processes, in the order in which they are done.

    Args:
        function: can be pickled, as can the items and the results.
        items: what it is called with.
        workers: how many processes; with 1, or a single item, this one does it all.
        tell: is handed why this one does it all, where others were asked for.

    Raises:
        MrisegError: a process was killed, or could not start.
    """
    workers = min(workers, len(items))
    if workers > 1 and (why := _why_alone()):
        tell(why)
        workers = 1
    if workers > 1:
        context = _Spawning()
        try:
            with processes(workers, context) as pool:
                # One more than there are workers, so that none waits for the next.
                yield from spread(function, items, pool, workers + 1)
            return
        except MrisegError as error:
            if not context.is_unguarded:  # or else no process has begun with any item
                raise
            tell(str(error))
    yield from map(function, items)


def _why_alone() -> str:
    """Why other processes could not start; empty where they can."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or getattr(main, "__spec__", None) is not None or Path(file).exists():
        return ""
    return (
        "this Python program is not in a file, so that no other process can import it: one process "
        "reads all cases"
    )


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
def processes(workers: int, context: _Spawning | None = None) -> Iterator[Executor]:
    """An executor of that many processes, which end with the block, and when this process dies.

    Args:
        workers: how many.
        context: that starts them.

    Raises:
        MrisegError: one of them was killed, or could not start.
    """
    context = context or _Spawning()
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
            pool.shutdown(wait=True, cancel_futures=True)
            raise context.why_broken() from None
        except (KeyboardInterrupt, GeneratorExit):
            # Stopped: what is under way is started again another time, so nothing waits for it.
            life.close()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


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

    @property
    def is_unguarded(self) -> bool:
        """Whether the script that started them runs its calls where it is imported, too."""
        return any(process.exitcode == _UNGUARDED for process in self._started)

    def why_broken(self) -> MrisegError:
        """The error for processes that ended before their work was done."""
        if self.is_unguarded:
            return MrisegError(
                f"one process reads all cases, since this script has no {_GUARD}: put its calls "
                f"under that line to use several, or set workers=1"
            )
        if any(process.exitcode is not None and process.exitcode > 0 for process in self._started):
            return MrisegError(
                f"a preprocessing process could not start, for the reason above. In a script, put "
                f"the calls under {_GUARD}, or set workers=1 (--workers 1)"
            )
        return MrisegError(
            "a preprocessing process was killed, most likely because memory ran out; "
            "start again with --workers 1: it continues with the remaining cases"
        )


def carry_out(recipe: Recipe[R], on_event: Callable[[Event], None] | None = None) -> R:
    """`mriseg.events.finish`, but for a process that has only just come to import the script.

    One of `processes` would do again what the script's process does, and ends. Nobody else's
    process ends here.
    """
    process = multiprocessing.current_process()
    if process.name == _NAME and getattr(process, "_inheriting", False):
        os._exit(_UNGUARDED)
    return finish(recipe, on_event)


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
