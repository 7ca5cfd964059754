"""Memory that is kept between steps, and given back at the end."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
import torch

from mriseg.backends.allocator import can_keep_memory, keeping_memory

_FAULTS = """
import resource, sys, torch
from contextlib import nullcontext
from mriseg.backends.allocator import keeping_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(8_000_000)  # 32 MB: more than glibc keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
with keeping_memory():
    faults()
    with keeping_memory():  # contexts overlap, and the outermost counts
        pass
    inside = faults()
print(inside, faults())
"""


@pytest.mark.skipif(not can_keep_memory(), reason="the allocator takes no advice")
def test_freed_pages_serve_again_and_go_back_at_the_end() -> None:
    # By the kernel's own count of pages that it had to supply.
    done = subprocess.run(
        [sys.executable, "-c", _FAULTS], capture_output=True, text=True, check=True
    )
    inside, outside = map(int, done.stdout.split())
    assert inside < outside / 10


def test_it_may_be_held_by_many_at_once() -> None:
    errors: list[BaseException] = []

    def hold() -> None:
        try:
            for _ in range(50):
                with keeping_memory():
                    torch.ones(100_000).sum()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
