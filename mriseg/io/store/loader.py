"""Batches read ahead of their use, a bounded number of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def prefetch(
    items: Iterable[A], read: Callable[[A], B], *, threads: int = 2, ahead: int = 4
) -> Iterator[B]:
    """``read(item)`` of each item, in order, while the caller works on earlier ones.

    Memory is bounded whatever the number of items: ``ahead`` results wait or are being read, one
    more is on its way to the caller, and the caller holds what it has not let go of. An error in
    ``read`` is raised where its result would have come. A caller that stops (an error, Ctrl-C)
    waits for no more than the reads under way.

    Threads are enough where ``read`` releases Python's lock, as the store's does.
    """
    waiting: deque[Future[B]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="mriseg-read")
    try:
        for item in items:
            waiting.append(pool.submit(read, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # A caller that stops early must not wait for what it will not use.
        pool.shutdown(wait=False, cancel_futures=True)
