"""Keeping the memory that a step frees for the next step, on Linux.

A training step makes and frees gigabytes of activations in tensors of tens of megabytes. glibc asks
the kernel for each of these again and gives it back at once, and the kernel clears every page on
its first touch: a quarter of a training step on the machine of ``docs/results.md``. Lazy back in
the heap, the same pages serve step after step, as PyTorch's own caching allocator does it on GPUs.

Other systems' allocators keep large blocks by themselves, or take no such setting.
"""

from __future__ import annotations

import ctypes
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of mallopt(3), from glibc's malloc.h, and their defaults.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_DEFAULT_TRIM_THRESHOLD, _DEFAULT_MMAP_MAX = 128 * 1024, 65536
_NEVER = 2**31 - 1

_lock = threading.Lock()
_holders = 0


def can_keep_memory() -> bool:
    """Whether this process's allocator is glibc's, which has the setting."""
    return platform.libc_ver()[0] == "glibc" and hasattr(ctypes.CDLL(None), "mallopt")


@contextmanager
def keeping_memory() -> Iterator[None]:
    """Keep what is freed for what comes next; at the end of the outermost, give it back.

    Where the allocator has no such setting, nothing changes. The peak is what it would have been
    but for fragments; memory between two peaks is not given back.
    """
    if not can_keep_memory():
        yield
        return
    libc = ctypes.CDLL(None)
    _count(libc, +1)
    try:
        yield
    finally:
        _count(libc, -1)


def _count(libc: ctypes.CDLL, change: int) -> None:
    """Contexts overlap, in one thread and in several; the first turns it on, the last off."""
    global _holders
    with _lock:
        before, _holders = _holders, _holders + change
        if before == 0:
            libc.mallopt(_MMAP_MAX, 0)
            libc.mallopt(_TRIM_THRESHOLD, _NEVER)
        elif _holders == 0:
            libc.mallopt(_MMAP_MAX, _DEFAULT_MMAP_MAX)
            libc.mallopt(_TRIM_THRESHOLD, _DEFAULT_TRIM_THRESHOLD)
            libc.malloc_trim(0)
