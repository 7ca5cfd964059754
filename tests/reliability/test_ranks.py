"""Any number of processes trains what one would, and none of them is ever left waiting.

A small sample of what ``python -m tests.reliability.ranks`` tries by the dozen.
"""

from __future__ import annotations

import math
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mriseg import api
from mriseg.io.runs import open_run
from mriseg.io.sample import sample_dir
from mriseg.io.store import open_store
from mriseg.testing import phantoms
from tests.ranks import Torchrun, each, torchrun
from tests.reliability.kill import EXACT, check_same_run, leftovers, settings
from tests.reliability.ranks import Campaign, ranks_of
from tests.reliability.test_divergence import plant

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="it has no such signals"),
]

STORE = "out.zarr"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a store of the sample's three patients."""
    api.preprocess(sample_dir(), tmp_path / STORE, workers=1)
    return tmp_path


def agree(store: Path, folder: Path) -> None:
    """Check the first gradient to 1e-5 of its size, and 20 losses to 1e-4."""
    script = ["-m", "tests.reliability.first_steps", str(store)]
    root = Path(__file__).resolve().parent.parent.parent
    results = []
    for world in (1, 2, 3):
        out = folder / f"{world}.safetensors"
        ends = each(root, *[[*script, str(out), "20"]] * world, seconds=900)
        assert [end.returncode for end in ends] == [0] * world, ends[0].stderr
        results.append(load_file(out))
    one = results[0]
    losses = one.pop("losses")
    for other in results[1:]:
        torch.testing.assert_close(other.pop("losses"), losses, rtol=1e-4, atol=0)
        size = torch.cat([each.flatten() for each in one.values()]).norm()
        off = torch.cat([(other[name] - one[name]).flatten() for name in one]).norm()
        assert off <= 1e-5 * size


def test_first_steps_agree(folder: Path) -> None:
    agree(folder / STORE, folder)


@pytest.mark.realdata
def test_first_steps_agree_on_real_scans(brats_dir: Path, tmp_path: Path) -> None:
    api.preprocess(brats_dir, tmp_path / STORE, regions="WT,TC", workers=1)
    agree(tmp_path / STORE, tmp_path)


def test_dice_agrees_after_200_steps(tmp_path: Path) -> None:
    phantoms.write_brats(tmp_path / "scans", 4)
    api.preprocess(tmp_path / "scans", tmp_path / STORE, regions="WT", workers=1)
    line = (
        f"train {STORE} --width 8 --batch-size 4 --epochs 15 --validate-every 15 "
        f"--learning-rate 0.01 {EXACT}"
    )
    best = []
    for world in (1, 2, 3):
        job = torchrun(tmp_path, world, f"{line} --out {world}", seconds=900)
        assert job.process.returncode == 0, job.stderr
        run = open_run(tmp_path / str(world))
        assert run.read_log()[-1]["step"] >= 190
        best.append(run.read_log()[-1]["dice"])
    assert best[0] > 0.5
    assert max(best) - min(best) <= 0.01


def stopped_in(job: Torchrun, epoch: int) -> None:
    """Ask the job to stop once it has done so many epochs."""
    said = f"epoch {epoch:>4}"
    while said not in job.stderr:
        assert job.process.poll() is None, job.stderr
        time.sleep(0.05)
    os.kill(job.process.pid, signal.SIGTERM)
    job.end()


def test_other_numbers_of_processes_go_on_where_one_stopped(folder: Path) -> None:
    file = settings(folder, epochs=4, slices=24)
    first = Torchrun(folder, 2, f"train {STORE} --config {file} {EXACT} --out run")
    stopped_in(first, 1)
    assert [line for line in first.said if "stopped: the latest checkpoint is kept" in line]
    second = Torchrun(folder, 1, f"train --resume run {EXACT}")
    stopped_in(second, 2)
    third = torchrun(folder, 3, f"train --resume run {EXACT}")
    assert third.process.returncode == 0, third.stderr
    position = open_run(folder / "run").load("last").state["position"]
    assert [number for _, number in position["processes"]] == [2, 1, 3]
    whole = torchrun(folder, 1, f"train {STORE} --config {file} {EXACT} --out whole")
    assert whole.process.returncode == 0
    check_same_run(folder / "run", folder / "whole")
    assert not leftovers(folder / "run")


def test_killed_ranks_end_the_job_with_a_reason_and_it_goes_on(folder: Path) -> None:
    file = settings(folder, epochs=2, slices=24)
    begin = f"train {STORE} --config {file} {EXACT} --out run"
    going = Campaign(folder, begin, folder / "run", random.Random(3))
    while len(going.killed) < 2 and going.once(world=2, within=3.0):
        pass
    assert going.killed
    last = torchrun(
        folder, 2, f"train --resume run {EXACT}" if (folder / "run").exists() else begin
    )
    assert last.process.returncode == 0 or "has ended" in last.stderr, last.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [("--budget 15s", "the budget is spent"), ("--epochs 40 --patience 2", "no better Dice in 2")],
)
def test_a_clock_and_patience_stop_all_alike(folder: Path, options: str, reason: str) -> None:
    # A rate at which nothing is learnt, so that the first validation stays the best.
    line = f"train {STORE} --width 8 --batch-size 4 --learning-rate 1e-9 --precision fp32 {options}"
    job = torchrun(folder, 2, f"{line} --out run", seconds=200)
    assert job.process.returncode == 0, job.stderr
    assert open_run(folder / "run").ended.startswith(reason)
    assert not ranks_of(job)


def test_a_rank_that_fails_stops_all_with_its_reason(folder: Path) -> None:
    code = (
        "from mriseg.io.store import Store\n"
        "import os\n"
        "read, left = Store.read, iter(range(6))\n"
        "def broken(self, *given):\n"
        "    if os.environ['RANK'] == '1' and next(left, None) is None:\n"
        "        raise OSError(5, 'Input/output error', 'image')\n"
        "    return read(self, *given)\n"
        "Store.read = broken\n"
        "import sys; sys.argv[1:] = sys.argv[2:]\n"
        "from mriseg.cli.app import main; main()"
    )
    line = f"train {STORE} --width 8 --batch-size 4 --epochs 9 --precision fp32 --out run"
    words = ["-c", code, "mriseg", *line.split()]
    first, second = each(folder, words, words)
    assert (first.returncode, second.returncode) == (5, 5)
    [error] = [text for text in first.stderr.splitlines() if text.startswith("error: ")]
    assert error.startswith("error: rank 1 of 2: Input/output error")
    assert "continue with: mriseg train --resume run" in error
    # The other waits until its end for the first to say it, and then says it as well.
    assert second.stderr.splitlines() in ([], [error])


def test_nan_stops_all_with_one_message(folder: Path) -> None:
    store = open_store(folder / STORE)
    for name, case in store.cases().items():
        for modality in case.modalities:
            plant(store, name, 3, math.nan, modality)
    line = f"train {STORE} --width 8 --batch-size 6 --epochs 9 --precision fp32 --out run"
    job = torchrun(folder, 2, line)
    errors = [text for text in job.said if text.startswith("error: ")]
    assert len(errors) == 1 and "holds voxels that are NaN or infinite" in errors[0], job.stderr
    assert "exitcode  : 7" in job.stderr


def test_a_transfer_is_trained_by_several_as_by_one(folder: Path) -> None:
    line = f"transfer {STORE} --from base --epochs 1 --batch-size 5 --schedule lp-ft {EXACT}"
    for world in (2, 1):
        job = torchrun(folder, world, f"{line} --adapt-norm --l2-sp 0.1 --out {world}", seconds=900)
        assert job.process.returncode == 0, job.stderr
    check_same_run(folder / "2", folder / "1")
