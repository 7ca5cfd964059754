"""Jobs of SLURM: what is asked of it, and, where there is one, the contract and killed jobs."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

from mriseg.errors import ConfigError, WorkerError
from mriseg.executors.rehearsal import leaves_a_file
from mriseg.executors.slurm import EXECUTOR, arguments, parsed
from mriseg.executors.spreading import spread
from mriseg.testing import ExecutorContract
from tests import slurm


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


@pytest.fixture(scope="module")
def cluster() -> Iterator[slurm.Cluster]:
    if why := slurm.why_not():
        pytest.skip(f"no SLURM: {why}")
    with slurm.ready() as running, mock.patch.dict(os.environ, running.environment):
        yield running


@pytest.fixture
def jobs(cluster: slurm.Cluster) -> str:
    """Small jobs, as ``slurm:`` takes them."""
    return f"cores=1,memory=1GB,time=10,wait=5,interface={cluster.interface}"


@pytest.mark.slow
class TestSlurm(ExecutorContract):
    kind = EXECUTOR
    workers = 1

    @pytest.fixture
    def address(self, jobs: str) -> str:
        return jobs


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_partition_that_does_not_exist_is_said_in_slurms_words() -> None:
    with (
        pytest.raises(WorkerError, match="sbatch refuses the jobs: .*partition"),
        EXECUTOR.pool("partition=no-such-partition", 1),
    ):
        pass


@pytest.mark.slow
def test_a_job_that_is_killed_is_submitted_again(jobs: str, tmp_path: Path) -> None:
    with EXECUTOR.pool(jobs, 1) as pool:

        def kill() -> None:
            while not list(tmp_path.iterdir()):
                time.sleep(0.1)
            subprocess.run(["scancel", "--signal=KILL", "--name=dask-worker"], check=True)

        killer = threading.Thread(target=kill)
        killer.start()
        paths = [str(tmp_path / f"{number}") for number in range(25)]
        assert dict(spread(leaves_a_file, paths, pool)) == {path: path for path in paths}
        killer.join()
