"""The workers of a Dask scheduler, on whatever machines they are.

``Client.get_executor`` of `distributed` gives the standard executor. Dask hands out again what a
worker was at when it died, and gives an item up that ended several (its ``allowed-failures``).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError, Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from mriseg.errors import ConfigError, WorkerError, reason_of
from mriseg.executors.base import KilledError
from mriseg.extras import Extra

T = TypeVar("T")
R = TypeVar("R")

_DASK = Extra("dask", "--executor dask", ("distributed",), WorkerError)
# Seconds until a scheduler, and then a worker, must have answered.
_PATIENCE = 15.0
_ANSWER = 120.0
# Seconds without any worker after which that is said: one that was killed is started again sooner.
_ABSENCE = 15.0
# Seconds for which a count of the workers holds.
_MOMENT = 1.0
_GOES_ON = "start the same command again: it continues with what is left"
# What Dask and its event loop log of connections that end; the user is told in a sentence.
_LOGGERS = ("distributed", "tornado", "asyncio")


class DaskPool:
    """The workers of a scheduler; see `mriseg.executors.base.Pool`.

    Args:
        client: of the scheduler.
        address: the scheduler's, for people.
    """

    advice = (
        "give the workers more memory, or fewer threads and processes each, and start the same "
        "command again: it continues with the remaining cases"
    )
    packages = ("distributed",)
    _remedy = "the next worker continues; start one with: dask worker ADDRESS --nthreads 1"

    def __init__(self, client: Any, address: str) -> None:
        self.place = f"the Dask scheduler {address}"
        self._client = client
        # Not pure: the same item may be done twice.
        self._executor: Executor = client.get_executor(pure=False)
        self._count, self._counted = 0, -_MOMENT
        self._last_seen, self._missed = time.monotonic(), False

    @property
    def executor(self) -> Executor:
        """See `mriseg.executors.base.Pool.executor`."""
        return self._executor

    @property
    def at_once(self) -> int:
        """One more than there are workers now, whose number may change."""
        return self._workers() + 1

    def tend(self) -> str:
        """Say so once if all workers are gone: the scheduler keeps their work for new ones."""
        now = time.monotonic()
        if self._workers():
            self._last_seen, self._missed = now, False
            return ""
        if self._missed or now < self._last_seen + _ABSENCE:
            return ""
        self._missed = True
        return f"{self.place} has no workers now; {self._remedy}"

    def renew(self) -> None:
        """Never needed: the scheduler hands out again what a worker was at."""

    def meaning(self, error: BaseException) -> BaseException:
        """See `mriseg.executors.base.Pool.meaning`."""
        from distributed import KilledWorker
        from distributed.comm import CommClosedError

        if isinstance(error, KilledWorker):
            return KilledError(int(error.allowed_failures) + 1)
        closed = self._client.status != "running"
        if isinstance(error, CancelledError | CommClosedError) or closed:
            return WorkerError(
                f"{self.place} went away; once it is back, with its workers, {_GOES_ON}"
            )
        return error

    def on_each(self, function: Callable[[T], R], item: T) -> Mapping[str, R | Exception]:
        """See `mriseg.executors.base.Pool.on_each`."""
        if not self._workers():
            raise WorkerError(
                f"{self.place} has no workers: start some with: dask worker ADDRESS --nthreads 1"
            )
        # In a thread, since Dask waits for ever for a worker that does not answer.
        waiting = ThreadPoolExecutor(1)
        try:
            call = waiting.submit(self._client.run, function, item, on_error="return")
            return dict(call.result(_ANSWER))
        except TimeoutError:
            raise WorkerError(
                f"a worker of {self.place} does not answer within {_ANSWER:.0f} s; restart it"
            ) from None
        except Exception as error:
            meaning = self.meaning(error)
            if isinstance(meaning, WorkerError):
                raise meaning from None
            return {f"a worker of {self.place}": error}
        finally:
            waiting.shutdown(wait=False)

    def _workers(self) -> int:
        """How many there are, as of a moment ago."""
        if time.monotonic() > self._counted + _MOMENT:
            with suppress(Exception):  # the futures say that a scheduler is gone
                self._count = len(self._client.scheduler_info(n_workers=-1)["workers"])
            self._counted = time.monotonic()
        return self._count


class Dask:
    """The workers of a Dask scheduler; see `mriseg.executors.base.Kind`."""

    name = "dask"
    summary = "the workers of a Dask scheduler: dask:tcp://HOST:8786, or dask:FILE of the scheduler"
    elsewhere = True

    @contextmanager
    def pool(self, address: str, workers: int | None) -> Iterator[DaskPool]:
        """See `mriseg.executors.base.Kind.pool`.

        Raises:
            ConfigError: there is no address, or a number of workers.
            WorkerError: `distributed` is not installed, or no scheduler answers.
        """
        if workers is not None:
            raise ConfigError(
                "--workers: a Dask scheduler has the workers that were started for it; leave the "
                "number out"
            )
        with quiet(), _client(address) as client:
            yield DaskPool(client, address)


EXECUTOR = Dask()


@contextmanager
def quiet() -> Iterator[None]:
    """Dask says nothing by itself on stderr until the block ends."""
    _DASK.check()
    import distributed  # noqa: F401 - it sets its loggers up when it is imported

    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in _LOGGERS]
    loggers = [logging.getLogger(name) for name in {*_LOGGERS, *names}]
    before = [(logger, logger.disabled) for logger in loggers]
    for logger in loggers:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in before:
            logger.disabled = disabled


@contextmanager
def _client(address: str) -> Iterator[Any]:
    """A client of the scheduler at an address, or of one that wrote a file.

    Raises:
        ConfigError: neither is given.
        WorkerError: no scheduler answers there.
    """
    import dask.config
    from distributed import Client

    if not address:
        raise ConfigError(
            "--executor dask: name the scheduler, as in dask:tcp://host:8786, or the file that it "
            "wrote, as in dask:scheduler.json"
        )
    if "://" in address or not Path(address).suffix:
        how = {"address": address}
    elif Path(address).exists():
        how = {"scheduler_file": address}
    else:
        raise WorkerError(
            f"--executor dask:{address}: there is no such file; start the scheduler with: dask "
            f"scheduler --scheduler-file {address}"
        )
    client = None
    with dask.config.set({"distributed.comm.timeouts.connect": _PATIENCE}):
        try:
            client = Client(**how, timeout=_PATIENCE, set_as_default=False)
        except Exception as error:
            raise WorkerError(
                f"no Dask scheduler answers at {address} ({reason_of(error)}); start one with: "
                f"dask scheduler, and give its address"
            ) from None
        try:
            yield client
        finally:
            # The tasks that are under way are let go; one that is gone already cannot be told.
            with suppress(Exception):
                client.close(timeout=5)
