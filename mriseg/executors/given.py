"""An executor that a Python program made itself and hands over; it stays that program's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor
from contextlib import contextmanager
from typing import TypeVar

from mriseg.errors import WorkerError
from mriseg.executors.base import KilledError

T = TypeVar("T")
R = TypeVar("R")


class GivenPool:
    """The workers of somebody's executor; see `mriseg.executors.base.Pool`.

    Args:
        executor: whose workers they are.
        workers: how many there are; None: what the executor says of itself, or one per core.
    """

    place = "the executor that was given"
    advice = "leave it out, or give its workers more memory"
    packages = ()

    def __init__(self, executor: Executor, workers: int | None) -> None:
        self._executor = executor
        # ThreadPoolExecutor, ProcessPoolExecutor and their kin know it.
        known = getattr(executor, "_max_workers", None)
        self._workers: int = workers or known or os.cpu_count() or 1

    @property
    def executor(self) -> Executor:
        """See `mriseg.executors.base.Pool.executor`."""
        return self._executor

    @property
    def at_once(self) -> int:
        """See `mriseg.executors.base.Pool.at_once`."""
        return self._workers + 1

    def tend(self) -> str:
        """Nothing has to be done meanwhile."""
        return ""

    def renew(self) -> None:
        """Never needed: `meaning` asks for no item to be done again."""

    def meaning(self, error: BaseException) -> BaseException:
        """See `mriseg.executors.base.Pool.meaning`; its owner alone could make another."""
        if isinstance(error, BrokenExecutor | CancelledError):
            return WorkerError(
                f"the executor that was given does no more work ({type(error).__name__}: {error}); "
                f"make another and call the same again: it continues with what is left"
            )
        if type(error).__name__ == "KilledWorker":  # Dask's, from Client.get_executor()
            return KilledError(int(getattr(error, "allowed_failures", 0)) + 1)
        return error

    def on_each(self, function: Callable[[T], R], item: T) -> Mapping[str, R | Exception]:
        """See `mriseg.executors.base.Pool.on_each`.

        No executor lets one choose the worker: as many calls as there are workers reach most.
        """
        futures = [self._executor.submit(function, item) for _ in range(self._workers)]
        answers: dict[str, R | Exception] = {}
        for number, future in enumerate(futures, start=1):
            name = f"worker {number} of the given executor"
            try:
                answers[name] = future.result()
            except Exception as error:
                answers[name] = error
        return answers


@contextmanager
def given(executor: Executor, workers: int | None) -> Iterator[GivenPool]:
    """A pool of somebody's executor, which is not shut down when the block ends."""
    yield GivenPool(executor, workers)
