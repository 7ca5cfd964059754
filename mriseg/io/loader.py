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

    At most ``ahead`` results wait, so memory is bounded whatever the number of items. An error in
    ``read`` is raised where its result would have come.
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
        # A caller that stops early (an error, Ctrl-C) must not wait for what it will not use.
        pool.shutdown(wait=False, cancel_futures=True)
