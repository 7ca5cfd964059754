"""Batches read ahead of their use, a bounded number of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

A = TypeVar("A")
B = TypeVar("B")


# Batches ahead of what is needed on average: reads do not all take as long.
_SPARE = 2.0
# Of what is measured, the share that the last batch counts.
_NEW = 0.25


class Pace:
    """How many batches are read at once, by how long a read takes and how often one is taken.

    Attributes:
        least: batches that are read ahead however fast they come.
        most: batches that are ever read ahead, which bounds the memory.
        read: seconds that a read takes; 0 until one was measured.
        taken: seconds from when the caller gets a batch until it asks for the next; likewise.
    """

    def __init__(self, least: int = 4, most: int = 4) -> None:
        self.least, self.most = least, max(least, most)
        self.read = self.taken = 0.0

    @property
    def ahead(self) -> int:
        """How many batches wait or are being read at the moment."""
        if not self.read or self.most == self.least:
            return self.least
        needed = _SPARE * self.read / max(self.taken, 1e-3)
        return int(min(max(needed, self.least), self.most))

    def measured(self, read: float) -> None:
        """A read took so many seconds."""
        self.read = self.read + _NEW * (read - self.read) if self.read else read

    def left_alone(self, seconds: float) -> None:
        """The caller was busy with a batch for so long."""
        self.taken = self.taken + _NEW * (seconds - self.taken) if self.taken else seconds


def prefetch(
    items: Iterable[A],
    read: Callable[[A], B],
    *,
    threads: int = 2,
    ahead: int = 4,
    pace: Pace | None = None,
) -> Iterator[B]:
    """``read(item)`` of each item, in order, while the caller works on earlier ones.

    Memory is bounded whatever the number of items: as many results as the pace says wait or are
    being read, one more is on its way to the caller, and the caller holds what it has not let go
    of. An error in ``read`` is raised where its result would have come. A caller that stops (an
    error, Ctrl-C) waits for no more than the reads under way.

    Threads are enough where ``read`` releases Python's lock, as the store's does.

    Args:
        items: what to read.
        read: reads one.
        ahead: how far to read ahead, where there is no pace.
        threads: reads at once, where the pace does not say more than its least.
        pace: how far to read ahead; kept from one call to the next, it need not be found again.
            None: ``ahead``, always.
    """
    pace = pace or Pace(ahead, ahead)
    waiting: deque[Future[B]] = deque()
    # Threads are made when they are first needed.
    most = threads if pace.most == pace.least else pace.most
    pool = ThreadPoolExecutor(most, thread_name_prefix="mriseg-read")

    def timed(item: A) -> B:
        began = time.monotonic()
        result = read(item)
        pace.measured(time.monotonic() - began)
        return result

    left, room = iter(items), 0

    def fill() -> None:
        while len(waiting) <= min(room, pace.ahead) and (item := next(left, _END)) is not _END:
            waiting.append(pool.submit(timed, cast(A, item)))

    try:
        while True:
            fill()
            if not waiting:
                return
            waiting[0].result()
            # The first is read alone, and then more at once each time: a server that answers one
            # request after the other would have most of them done before any batch is whole.
            room = min(2 * room + 1, pace.most)
            fill()
            began = time.monotonic()
            yield waiting.popleft().result()
            pace.left_alone(time.monotonic() - began)
    finally:
        # A caller that stops early must not wait for what it will not use.
        pool.shutdown(wait=False, cancel_futures=True)


_END = object()
