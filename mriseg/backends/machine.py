"""What the processor offers to this process: cores, memory, and the memory it takes."""

from __future__ import annotations

import math
import os
import platform
import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")
_PROCESS = Path("/proc/self")
# What the drivers of GPUs make on Linux.
_DRIVERS = {"an NVIDIA GPU": Path("/proc/driver/nvidia/version"), "an AMD GPU": Path("/dev/kfd")}

# Of CUDA and MPS; of torch's allocator on Linux and macOS, and on Windows; of C++; of cuBLAS.
_EXHAUSTED = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "bad_alloc",
    "alloc_failed",
)


def cores() -> int:
    """Cores that this process may keep busy, at least 1.

    A batch system may have bound it to some of the machine's, and a container may have given it a
    share of time; threads beyond that wait for one another.
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return max(1, min(count, _quota(_CGROUP) or count))


def processor() -> str:
    """The processor's name, as far as the system says."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except (OSError, UnicodeDecodeError):
        pass  # not Linux
    return platform.processor() or platform.machine()


def graphics() -> str:
    """A GPU that this machine has by the look of it, whether PyTorch can use it or not; or nothing.

    By what drivers leave in the system, since what PyTorch does not see is the question.
    """
    if sys.platform == "darwin":
        return "an Apple GPU" if platform.machine() == "arm64" else ""
    return next((name for name, path in _DRIVERS.items() if path.exists()), "")


def memory() -> int | None:
    """Physical memory in bytes; None where it is not known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def available_memory() -> int | None:
    """Bytes that this process can still take without swapping; None where it is not known.

    On Linux what the kernel says is available, and no more than the container's limit leaves;
    elsewhere half of the physical memory.
    """
    free = _kibibytes(Path("/proc/meminfo"), "MemAvailable")
    if free is None:
        physical = memory()
        return None if physical is None else physical // 2
    left = _cgroup_left(_CGROUP)
    return free if left is None else min(free, left)


def ran_out(error: BaseException) -> bool:
    """Whether an error says that the processor's or a device's memory did not suffice.

    Python and numpy raise a MemoryError, torch a RuntimeError: an OutOfMemoryError for CUDA, and
    on the processor and MPS only its words say so.
    """
    if isinstance(error, MemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in _EXHAUSTED)


def peak_memory() -> int | None:
    """The most memory that this process has held so far, in bytes; None where nobody counts."""
    # Of a process on Linux, getrusage counts in what its parent held when it started.
    peak = _own("VmHWM")
    if peak is not None:
        return peak
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return peak if sys.platform == "darwin" else peak * 1024


def restart_peak_memory() -> int | None:
    """Let `peak_memory` count from now on.

    Returns:
        What this process holds now, in bytes; None where the peak cannot be set back, which Linux
        alone can (proc(5), clear_refs).
    """
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return None
    return _own("VmRSS")


def _own(name: str) -> int | None:
    """A number of bytes that Linux reports of this process."""
    return _kibibytes(_PROCESS / "status", name)


def _quota(folder: Path) -> int | None:
    """Cores' worth of time that a Linux container has, rounded up; None: no limit."""
    try:
        # Version 2 has "quota period" or "max period" in one file, version 1 two files.
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu" / "cpu.cfs_period_us").read_text()
        return math.ceil(int(quota) / int(period)) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _kibibytes(path: Path, name: str) -> int | None:
    """Bytes of a line such as "name: 12345 kB", which are KiB."""
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return int(value.split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        pass  # not Linux
    return None


def _cgroup_left(folder: Path) -> int | None:
    """What a Linux container's limit leaves, in bytes; None: no limit."""
    # Version 2 and version 1 have the same numbers in files of other names.
    files = ("memory.max", "memory.current", "memory.stat", "inactive_file")
    if not (folder / "memory.max").exists():
        folder /= "memory"
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")
        files = (*names, "total_inactive_file")
    limit, used, statistics, cached = files
    try:
        pages = dict(line.split() for line in (folder / statistics).read_text().splitlines())
        # Pages of files that nobody reads at the moment count as used, and go when needed.
        taken = int((folder / used).read_text()) - int(pages.get(cached, 0))
        return max(0, int((folder / limit).read_text()) - taken)
    except (OSError, ValueError):
        return None  # "max" is not a number: there is no limit
