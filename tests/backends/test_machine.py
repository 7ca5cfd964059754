"""What the processor offers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.backends import machine


def test_this_machine_reports_its_processor_and_memory() -> None:
    assert 1 <= machine.cores() <= (os.cpu_count() or 1)
    assert machine.processor()
    assert (machine.memory() or 2**40) > 2**28
    assert (machine.peak_memory() or 2**40) > 2**24


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_a_process_that_is_bound_to_one_core_has_one() -> None:
    script = "from mriseg.backends.machine import cores; print(cores())"
    bound = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); " + script
    done = subprocess.run([sys.executable, "-c", bound], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"


@given(quota=st.integers(1, 10**7), period=st.integers(1, 10**6), version=st.sampled_from([1, 2]))
def test_a_containers_share_of_time_is_rounded_up(
    quota: int, period: int, version: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cgroup")
    if version == 2:
        (folder / "cpu.max").write_text(f"{quota} {period}\n")
    else:
        (folder / "cpu").mkdir()
        (folder / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        (folder / "cpu" / "cpu.cfs_period_us").write_text(f"{period}\n")
    cores = machine._quota(folder)
    assert cores is not None and (cores - 1) * period < quota <= cores * period


@pytest.mark.parametrize("text", ["max 100000", "-1 100000", "5 0", "", "no number"])
def test_a_share_that_is_none_or_unreadable_limits_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(text)
    assert machine._quota(tmp_path) is None
    assert machine._quota(tmp_path / "absent") is None


@given(
    limit=st.integers(0, 2**40),
    used=st.integers(0, 2**40),
    cached=st.integers(0, 2**40),
    version=st.sampled_from([1, 2]),
)
def test_what_a_containers_limit_leaves(
    limit: int, used: int, cached: int, version: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cgroup")
    if version == 2:
        names = ("memory.max", "memory.current", "memory.stat", "inactive_file")
    else:
        (folder / "memory").mkdir()
        names = (
            "memory/memory.limit_in_bytes",
            "memory/memory.usage_in_bytes",
            "memory/memory.stat",
            "total_inactive_file",
        )
    for name, number in zip(names, (limit, used), strict=False):
        (folder / name).write_text(f"{number}\n")
    (folder / names[2]).write_text(f"anon 1\n{names[3]} {cached}\n")
    # The page cache is freed when memory is needed.
    assert machine._cgroup_left(folder) == max(0, limit - used + cached)


def test_no_limit_leaves_what_the_machine_has(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5\n")
    (tmp_path / "memory.stat").write_text("inactive_file 1\n")
    assert machine._cgroup_left(tmp_path) is None
    assert machine._cgroup_left(tmp_path / "absent") is None
    free = machine.available_memory()
    assert free is None or 0 < free <= (machine.memory() or 2**50)


@pytest.mark.skipif(sys.platform == "darwin", reason="Apple's are known by the processor")
def test_a_gpu_is_noticed_by_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"an NVIDIA GPU": tmp_path / "version", "an AMD GPU": tmp_path / "kfd"}
    monkeypatch.setattr(machine, "_DRIVERS", files)
    assert machine.graphics() == ""
    (tmp_path / "kfd").touch()
    assert machine.graphics() == "an AMD GPU"
    (tmp_path / "version").touch()
    assert machine.graphics() == "an NVIDIA GPU"
