"""Memory holds to a bound that does not grow with the number of cases."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import large
from benchmarks._processes import alone
from benchmarks._stores import fill_with_copies
from mriseg.testing import phantoms

SHAPE = (24, 96, 96)
MODALITIES = 4
# One case's raw images in memory, as float32.
CASE_BYTES = int(np.prod(SHAPE)) * MODALITIES * 4

PREPROCESS = """
import sys
from pathlib import Path
from mriseg.events import finish
from mriseg.recipes.preprocess import preprocess
finish(preprocess(Path(sys.argv[1]), Path(sys.argv[2]), workers=1))
"""

# Every slice of every case, in batches drawn at random, three times over.
READ = """
import sys
from mriseg.core.sampling import plan_epoch
from mriseg.core.task import Task
from mriseg.io.store.loader import prefetch
from mriseg.io.store import open_store
store = open_store(sys.argv[2])
index = store.index()
task = Task(index.modalities, index.regions, (96, 96))
def read(plan):
    return store.read(plan.refs, task)
for epoch in range(3):
    plans = plan_epoch(
        index, regions=tuple(index.regions), batch_size=8, tumour_fraction=0.5,
        slices=24 * len(index.cases), seed=0, epoch=epoch,
    )
    for batch in prefetch(plans, read):
        pass
"""

# Not getrusage's, in which a process begins with the peak of the one that started it; and read
# without mriseg's own function, whose imports would hide what came before.
PEAK = """
from pathlib import Path
status = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM")))
"""


def peak(script: str, *arguments: Path) -> int:
    """The peak resident memory of a Python process that runs ``script``, in bytes."""
    # One arena, or glibc gives each thread its own and the peak is a matter of chance.
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script + PEAK, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from Linux")
def test_it_does_not_grow_with_the_cases(tmp_path: Path, rng: np.random.Generator) -> None:
    few, many = 3, 24
    peaks: dict[str, list[int]] = {"preprocess": [], "read": []}
    for count in (few, many):
        source, store = tmp_path / f"scans{count}", tmp_path / f"{count}.zarr"
        phantoms.write_brats(source, count, shape=SHAPE)
        peaks["preprocess"].append(peak(PREPROCESS, source, store))
        peaks["read"].append(peak(READ, source, store))
    for stage, (first, second) in peaks.items():
        # 21 more cases, and not two cases' worth more of memory.
        assert second - first < 2 * CASE_BYTES, (stage, first, second)


@pytest.mark.slow
def test_ten_thousand_cases_open_are_planned_verified_and_inspected_in_little(
    tmp_path: Path,
) -> None:
    store = fill_with_copies(tmp_path / "large.zarr", 10_000)
    store.update_index()
    planned = alone(large.opened, store.location)
    large.scans_of_copies(tmp_path / "scans", 10_000)
    rest = alone(large.verified, store.location) | alone(large.inspected, str(tmp_path / "scans"))
    peaks = {name: value for name, value in (planned | rest).items() if "MiB" in name}
    assert len(peaks) == 6
    assert all(value < 300 for value in peaks.values()), peaks
