"""Jobs of SLURM: what is asked of it, and, where there is one, the contract and killed jobs."""

from __future__ import annotations

import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from mriseg.errors import ConfigError, WorkerError
from mriseg.executors.rehearsal import leaves_a_file
from mriseg.executors.slurm import EXECUTOR, arguments, parsed
from mriseg.executors.spreading import spread
from mriseg.testing import ExecutorContract


def _why_not() -> str:
    """Why no job can be submitted here; empty where one can."""
    if shutil.which("sbatch") is None:
        return "this machine has no SLURM (sbatch)"
    asked = subprocess.run(
        ["sinfo", "--noheader"], capture_output=True, text=True, check=False, timeout=30
    )
    return "" if asked.returncode == 0 and asked.stdout.strip() else "SLURM does not answer (sinfo)"


def test_options_are_read_and_others_refused() -> None:
    options = parsed("partition=gpu,time=90,gpus=1,qos=long")
    asked = arguments(options)
    assert (asked["queue"], asked["walltime"], asked["memory"]) == ("gpu", "90", "8GB")
    assert asked["job_extra_directives"] == ["--gpus=1", "--qos=long", "--output=/dev/null"]
    assert arguments(parsed("log=jobs"))["job_extra_directives"] == []
    for wrong in ("partitio=gpu", "time", "time=", "time=1,time=2", "cores=four"):
        with pytest.raises(ConfigError, match="--executor slurm: .*expected"):
            parsed(wrong)


def test_without_slurm_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(WorkerError, match="no sbatch on this machine"), EXECUTOR.pool("", 2):
        pass


@pytest.fixture
def slurm() -> None:
    if why := _why_not():
        pytest.skip(why)


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
class TestSlurm(ExecutorContract):
    kind = EXECUTOR
    workers = 1

    @pytest.fixture
    def address(self) -> str:
        return "cores=1,memory=1GB,time=10,wait=5"


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_a_partition_that_does_not_exist_is_said_in_slurms_words() -> None:
    with (
        pytest.raises(WorkerError, match="sbatch refuses the jobs: .*partition"),
        EXECUTOR.pool("partition=no-such-partition", 1),
    ):
        pass


@pytest.mark.slow
@pytest.mark.usefixtures("slurm")
def test_a_job_that_is_killed_is_submitted_again(tmp_path: Path) -> None:
    with EXECUTOR.pool("cores=1,memory=1GB,time=10,wait=5", 1) as pool:

        def kill() -> None:
            while not list(tmp_path.iterdir()):
                time.sleep(0.1)
            subprocess.run(["scancel", "--signal=KILL", "--name=dask-worker"], check=True)

        killer = threading.Thread(target=kill)
        killer.start()
        paths = [str(tmp_path / f"{number}") for number in range(25)]
        assert dict(spread(leaves_a_file, paths, pool)) == {path: path for path in paths}
        killer.join()
