"""Trainings by torchrun whose ranks are killed at random moments, and resumed until they end.

    python -m tests.reliability.ranks --kills 20 --seed 1

It prints each kill, what the job said and how long it took to end, and fails where one does not
end, ends without a reason, or where the run is in the end not that of one process, bit for bit.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from mriseg import api
from mriseg.io.sample import sample_dir
from tests.ranks import Torchrun, torchrun
from tests.reliability.kill import EXACT, check_same_run, leftovers, settings

# In which a job whose rank was killed has to have ended.
_ENDS_WITHIN = 60.0


@dataclass
class Killed:
    """What came of killing a rank.

    Attributes:
        rank: which.
        after: seconds from the job's begin.
        took: seconds until the job had ended.
        said: mriseg's last words.
    """

    rank: int
    after: float
    took: float
    said: str


@dataclass
class Campaign:
    """Kills ranks of one training until it has ended.

    Args:
        folder: with ``out.zarr``.
        begin: what starts the training into ``run``.
        run: its folder.
        chance: draws the moments, the ranks and the number of processes.
    """

    folder: Path
    begin: str
    run: Path
    chance: random.Random
    killed: list[Killed] = field(default_factory=list)

    def once(self, *, world: int, within: float) -> bool:
        """Start or resume it with ``world`` processes, and kill one; whether one was killed."""
        resumes = (self.run / "last.safetensors").exists()
        line = f"train --resume {self.run} {EXACT}" if resumes else self.begin
        job, began = Torchrun(self.folder, world, line), time.monotonic()
        # Half of them while they start, half while they train.
        if self.chance.random() < 0.7:
            while job.process.poll() is None and "run " not in job.stderr.replace(
                "resuming", "run"
            ):
                time.sleep(0.05)
        time.sleep(self.chance.uniform(0, within))
        ranks = ranks_of(job)
        if job.process.poll() is not None or not ranks:
            job.end()
            return False
        rank, process = self.chance.choice(sorted(ranks.items()))
        after = time.monotonic() - began
        os.kill(process, signal.SIGKILL)
        killed = time.monotonic()
        code = job.end(_ENDS_WITHIN)
        took = time.monotonic() - killed
        said = [text for text in job.said if text.startswith(("error: ", "stopped: "))]
        self.killed.append(Killed(rank, after, took, said[-1] if said else ""))
        assert code == 1, (code, job.stderr)
        # torchrun names the rank and its signal; mriseg says it where a rank was left to.
        assert f"rank      : {rank} " in job.stderr and "SIGKILL" in job.stderr, job.stderr
        assert len(said) <= 1, job.stderr
        assert not ranks_of(job), "a process was left"
        return True


def ranks_of(job: Torchrun) -> dict[int, int]:
    """Rank -> process, of those that run."""
    ranks = {}
    try:
        for child in psutil.Process(job.process.pid).children(recursive=True):
            number = child.environ().get("RANK")
            if number is not None and child.status() != psutil.STATUS_ZOMBIE:
                ranks[int(number)] = child.pid
    except psutil.Error:
        return {}
    return ranks


def campaign(folder: Path, kills: int, seed: int, *, epochs: int = 3) -> list[Killed]:
    """Kill so many times, resume with other numbers of processes, and compare with one process."""
    chance = random.Random(seed)
    api.preprocess(sample_dir(), folder / "out.zarr", workers=1)
    file = settings(folder, epochs=epochs, slices=48)
    killed: list[Killed] = []
    number = 0
    while len(killed) < kills:
        number += 1
        run = folder / f"run{number}"
        begin = f"train out.zarr --config {file} {EXACT} --out {run}"
        going = Campaign(folder, begin, run, chance)
        while len(killed) < kills:
            world = chance.choice((2, 2, 3))
            if not going.once(world=world, within=6.0):
                break
            killed.append(going.killed[-1])
            print(f"{len(killed)} of {kills}: of {world}", killed[-1], flush=True)
        if (run / "last.safetensors").exists() and not api.open_run(run).ended:
            last = torchrun(folder, 2, f"train --resume {run} {EXACT}")
            assert last.process.returncode == 0, last.stderr
        if (run / "last.safetensors").exists():
            whole = folder / "whole"
            if not whole.exists():
                one = torchrun(folder, 1, f"train out.zarr --config {file} {EXACT} --out {whole}")
                assert one.process.returncode == 0, one.stderr
            check_same_run(run, whole)
            assert not leftovers(run), leftovers(run)
    return killed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        killed = campaign(Path(folder), options.kills, options.seed)
    took = sorted(each.took for each in killed)
    half = took[len(took) // 2]
    print(f"{len(killed)} killed; ended within {took[-1]:.1f} s, half of them within {half:.1f} s")


if __name__ == "__main__":
    main()
