"""Who does the work by cases: this process, one after another, or workers, many at a time.

A recipe says what is done to one case, as a function that can be sent, and handles what comes back;
`CaseWorkers.each` is the same for both. Only the process that was started writes records, moves
files to their places and says anything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from mriseg.core.choice import Choice
from mriseg.core.wording import counted
from mriseg.errors import OutputError
from mriseg.events import Advanced, Doing, Event, Notice
from mriseg.executors import PROCESSES, chosen
from mriseg.executors.base import Kind, Pool
from mriseg.executors.given import given
from mriseg.executors.processes import UnguardedError, default_workers
from mriseg.executors.spreading import watched
from mriseg.recipes.about import machine_of
from mriseg.recipes.lazy import Lazy
from mriseg.recipes.pipeline import Outcome, Stages, in_turn, overlapped
from mriseg.recipes.worker_check import (
    Needs,
    check,
    check_itself,
    lazy_backend,
    look,
    versions_here,
)

if TYPE_CHECKING:
    from mriseg.backends import Backend

T = TypeVar("T")
P = TypeVar("P")
R = TypeVar("R")

# Seconds between two looks whether the command that a worker works for still does.
_LOOK = 1.0
# A worker does one item at a time, however many threads it has: what computes sets what is global.
_AT_WORK = threading.Lock()


@dataclass(frozen=True)
class Workers:
    """Workers that are asked for, in the place of a backend of this process.

    Attributes:
        executor: the name of a kind, with an address behind a colon, or an executor; None:
            processes of this machine.
        count: how many workers; None: the kind's own number.
        backend: what each of them computes on; None: they compute nothing.
    """

    executor: str | Executor | None = None
    count: int | None = None
    backend: Choice | None = field(default_factory=Choice)

    @property
    def kind(self) -> Kind | None:
        """The kind; None: an executor was given.

        Raises:
            UnknownNameError: there is no such kind.
        """
        if isinstance(self.executor, Executor):
            return None
        return chosen(self.executor or PROCESSES)[0]

    @property
    def are_elsewhere(self) -> bool:
        """Whether they may be on other machines."""
        kind = self.kind
        return kind is None or kind.elsewhere


Where: TypeAlias = "Backend | Workers"
"""Where the work is done: in this process, on a backend, or by workers."""


def elsewhere(where: Where) -> bool:
    """Whether work is done on other machines, which need absolute paths."""
    return isinstance(where, Workers) and where.are_elsewhere


class CaseWorkers:
    """This process, or workers, to do items.

    Args:
        backend: to compute on, in this process or on each worker.
        pool: the workers; None: this process does all.
        needs: what each worker has to have.
        notices: what to say of them before the work.
        facts: of the backends that compute, as `mriseg.backends.describe` gives them.
        idle: whether there is nothing to do, so that nothing needs to be known of a backend.
    """

    def __init__(
        self,
        backend: Lazy[Backend],
        pool: Pool | None = None,
        needs: Needs | None = None,
        notices: Sequence[str] = (),
        facts: Sequence[Any] = (),
        *,
        idle: bool = False,
    ) -> None:
        self.backend, self.notices = backend, tuple(notices)
        self._pool, self._needs, self._facts = pool, needs, facts
        self._idle = idle

    @property
    def are_elsewhere(self) -> bool:
        """Whether they are, or may be, on other machines."""
        return self._needs is not None

    @property
    def at_once(self) -> int:
        """How many items are done at the same time."""
        return 1 if self._pool is None else max(1, self._pool.at_once - 1)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of the backends that compute."""
        if not self._facts:
            return () if self._idle else self.backend().notes
        return tuple(dict.fromkeys(note for facts in self._facts for note in facts["notes"]))

    @property
    def machine(self) -> str:
        """What computes, for a page."""
        if self._idle:
            return ""
        if not self._facts:
            from mriseg.backends import describe

            return machine_of(describe(self.backend()))
        return ", ".join(dict.fromkeys(map(machine_of, self._facts)))

    def each(
        self,
        function: Callable[[T], Generator[P, None, R]],
        items: Sequence[T],
        shown: Callable[[int, T, P], Event | None] = lambda *_: None,
        named: Callable[[T], str] = str,
    ) -> Iterator[Event | Outcome[T, R]]:
        """Do ``function`` to each item.

        Args:
            function: does it, and yields how far it is; can be pickled, as can items and results.
                `Stages` overlap from item to item where this process does them on several cores.
            items: in the order in which they are begun.
            shown: makes an event of how far an item is, from the item's number, counted from 0, the
                item and what the function yielded. Workers do not report that.
            named: how to call an item in a message.

        Yields:
            Events to pass on, and an outcome per item, in the order in which they are done.

        Raises:
            WorkerError: the workers cannot go on.
        """
        done = 0
        if self._pool is not None:
            order = partial(_on_worker, function, self._needs or Needs())
            try:
                for step in watched(order, items, self._pool, named):
                    if isinstance(step, str):
                        yield Notice(step)
                        continue
                    yield Outcome(*step)
                    done += 1
                return
            except UnguardedError as error:
                if done:
                    raise
                yield Notice(str(error))
        work = in_turn(function, items)
        if isinstance(function, Stages) and len(items) > 1 and _has_cores():
            work = overlapped(cast("Stages[T, P, Any, Any, R]", function), items)
        with closing(work):
            for one in work:
                if isinstance(one, Outcome):
                    yield one
                elif (event := shown(one[0], items[one[0]], one[1])) is not None:
                    yield event


def _has_cores() -> bool:
    """Whether there is a core beside the one that computes; on one, threads only displace it."""
    from mriseg.backends.machine import cores

    return cores() > 1


def backend_for(where: Where) -> Lazy[Backend]:
    """What computes, here or on each worker."""
    if isinstance(where, Workers):
        return lazy_backend(where.backend or Choice())
    return Lazy(where.choice, lazy_backend(where.choice), where)


def partly(stage: str) -> Callable[[int, object, float], Event]:
    """`CaseWorkers.each` shows the share of an item that is done as progress of that stage."""

    def shown(number: int, item: object, share: float) -> Event:
        doing = f": {share.what}" if isinstance(share, Doing) else ""
        return Advanced(stage, number + share, item=f"{item}{doing}")

    return shown


@contextmanager
def case_workers(where: Where, count: int, needs: Needs | None = None) -> Iterator[CaseWorkers]:
    """Those who do ``count`` items; workers end, or are let go, with the block.

    Args:
        where: who is asked for.
        count: how many items there are; of no more than one, processes are not worth starting.
        needs: what workers on other machines have to have, but for versions and backend; they are
            asked before this returns.

    Raises:
        ConfigError: what is asked for makes no sense.
        WorkerError: workers are not there, or lack something.
    """
    backend = backend_for(where)
    if not isinstance(where, Workers):
        yield CaseWorkers(backend)
        return
    if where.are_elsewhere:
        with _opened(where, where.count) if count else nullcontext() as pool:
            yield (
                CaseWorkers(backend, idle=True)
                if pool is None
                else _checked(where, backend, pool, needs)
            )
        return
    workers = min(where.count or default_workers(), count)
    with ExitStack() as stack:
        pool, notices = None, []
        # Opened for one too, so that an address that makes no sense is refused all the same.
        try:
            pool = stack.enter_context(_opened(where, max(workers, 1)))
        except UnguardedError as error:
            notices = [str(error)] if workers > 1 else []
        yield CaseWorkers(backend, pool if workers > 1 else None, notices=notices)


def _opened(where: Workers, count: int | None) -> AbstractContextManager[Pool]:
    if isinstance(where.executor, Executor):
        return given(where.executor, count)
    kind, address = chosen(where.executor or PROCESSES)
    return kind.pool(address, count)


def _checked(
    where: Workers, backend: Lazy[Backend], pool: Pool, needs: Needs | None
) -> CaseWorkers:
    """The workers of a pool whose workers were asked for what is needed."""
    whole = replace(needs or Needs(), versions=versions_here(pool.packages), backend=where.backend)
    workers = check(pool.on_each(look, whole))
    facts = [worker.backend for worker in workers.values() if worker.backend]
    notice = f"{counted(len(workers), 'worker')} of {pool.place}"
    kinds = list(dict.fromkeys(map(machine_of, facts)))
    if len(kinds) == 1:
        notice += f", which compute on {kinds[0]}"
    elif kinds:
        listed = "; ".join(f"{n}: {machine_of(w.backend)}" for n, w in workers.items())
        notice += f", which compute on different devices, so that numbers may differ: {listed}"
    return CaseWorkers(backend, pool, whole, [notice], facts)


def _on_worker(function: Callable[[T], Generator[Any, None, R]], needs: Needs, item: T) -> R:
    """Do one item where a worker is."""
    with _AT_WORK:
        check_itself(needs)
        looked = time.monotonic()
        with closing(function(item)) as work:
            while True:
                try:
                    next(work)
                except StopIteration as end:
                    result: R = end.value
                    return result
                if needs.room is not None and time.monotonic() > looked + _LOOK:
                    looked = time.monotonic()
                    if not needs.room.is_open:
                        raise OutputError("the command that asked for this work has ended")
