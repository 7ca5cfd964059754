"""Jobs of a SLURM cluster, each a Dask worker: dask-jobqueue submits them with ``sbatch``.

One job does many cases, one after another. This process is the scheduler, so it has to run where
the cluster's nodes can reach it, such as on a login node or in a job of its own. A job that ends
early (killed, out of time, its node gone) is submitted again.
"""

from __future__ import annotations

import subprocess
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from mriseg.errors import ConfigError, WorkerError, first_line
from mriseg.executors.base import Pool
from mriseg.executors.dask import DaskPool, quiet
from mriseg.extras import Extra

_SLURM = Extra("slurm", "--executor slurm", ("dask_jobqueue",), WorkerError)
_WORKERS = 2
# Seconds for which jobs may wait in the queue before that is said, and between two looks.
_STEP = 1.0
_OPTIONS: Mapping[str, str] = {
    "partition": "queue of the jobs",
    "account": "that pays for them",
    "time": "limit of each, in minutes or as HH:MM:SS",
    "cores": "of each",
    "memory": "of each, such as 16GB",
    "gpus": "of each",
    "qos": "quality of service",
    "constraint": "features that a node must have",
    "interface": "network interface by which the nodes reach this machine, such as ib0",
    "log": "folder for what the jobs print",
    "wait": "minutes to wait for the first job to start",
}
_DEFAULTS = {"cores": "4", "memory": "8GB", "time": "60", "wait": "60"}


class SlurmPool(DaskPool):
    """Workers that are jobs; see `mriseg.executors.base.Pool`.

    Args:
        client: of the scheduler in this process.
        cluster: submits the jobs.
        jobs: how many there should be.
    """

    advice = (
        "give the jobs more memory, as in slurm:memory=16GB, and start the same command again: it "
        "continues with the remaining cases"
    )

    def __init__(self, client: Any, cluster: Any, jobs: int) -> None:
        super().__init__(client, "")
        self.place = "this command's SLURM jobs"
        self._cluster, self._jobs = cluster, jobs

    _remedy = "jobs were submitted again, and the work goes on when one starts (see: squeue --me)"

    def tend(self) -> str:
        """Submit jobs again that ended; Dask notices it after some seconds."""
        if self._workers() < self._jobs:
            self._cluster.scale(jobs=self._jobs)
        return super().tend()


class Slurm:
    """Jobs of a SLURM cluster; see `mriseg.executors.base.Kind`."""

    name = "slurm"
    summary = "jobs of a SLURM cluster: slurm, or slurm:partition=gpu,time=60,memory=16GB"
    elsewhere = True

    @contextmanager
    def pool(self, address: str, workers: int | None) -> Iterator[Pool]:
        """See `mriseg.executors.base.Kind.pool`.

        Raises:
            ConfigError: an option is not known or has no value that it can have.
            WorkerError: dask-jobqueue or SLURM is not there, or no job starts.
        """
        options = parsed(address)
        _sbatch("--version")
        with quiet():
            _SLURM.check()
            from dask_jobqueue import SLURMCluster
            from distributed import Client

            jobs = workers or _WORKERS
            with ExitStack() as stack:
                with _errors(), warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of a port that another command uses
                    cluster = stack.enter_context(SLURMCluster(**arguments(options)))
                    _check_accepted(cluster.job_script())
                    cluster.scale(jobs=jobs)
                    client = stack.enter_context(Client(cluster, set_as_default=False))
                    _wait_for_one(client, float(options["wait"]) * 60)
                yield SlurmPool(client, cluster, jobs)


EXECUTOR = Slurm()


def parsed(address: str) -> dict[str, str]:
    """The options in ``partition=gpu,time=60``, with the defaults of the others.

    Raises:
        ConfigError: one is not known, has no value, or comes twice.
    """
    options: dict[str, str] = {}
    for item in filter(None, address.split(",")):
        name, _, value = item.partition("=")
        if name not in _OPTIONS or not value or name in options:
            known = ", ".join(f"{name} ({what})" for name, what in _OPTIONS.items())
            raise ConfigError(
                f"--executor slurm: {item!r}: expected NAME=VALUE, each name once, of: {known}"
            )
        options[name] = value
    for name in ("cores", "gpus", "wait"):
        if name in options and not options[name].isdecimal():
            raise ConfigError(f"--executor slurm: {name}={options[name]}: expected a number")
    return _DEFAULTS | options


def arguments(options: Mapping[str, str]) -> dict[str, Any]:
    """What dask-jobqueue is asked for: one process per job, which does one item at a time."""
    extra = [
        f"--{name}={options[name]}" for name in ("gpus", "qos", "constraint") if name in options
    ]
    if "log" not in options:
        extra.append("--output=/dev/null")  # or else SLURM writes a file per job where one is
    return {
        "cores": 1,
        "processes": 1,
        "job_cpu": int(options["cores"]),
        "memory": options["memory"],
        "walltime": options["time"],
        "queue": options.get("partition"),
        "account": options.get("account"),
        "interface": options.get("interface"),
        "log_directory": options.get("log"),
        "job_extra_directives": extra,
        "job_script_prologue": [f"export OMP_NUM_THREADS={options['cores']}"],
        "scheduler_options": {"dashboard_address": ":0"},
    }


def _sbatch(option: str, script: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["sbatch", option], input=script, capture_output=True, text=True, check=False
        )
    except OSError:
        raise WorkerError(
            "--executor slurm: there is no sbatch on this machine; start the command where jobs "
            "are submitted"
        ) from None


def _check_accepted(script: str) -> None:
    """Whether SLURM would take such a job; its own words where it would not.

    Raises:
        WorkerError: it would not.
    """
    tried = _sbatch("--test-only", script)
    if tried.returncode:
        said = tried.stderr.strip().splitlines() or ["it does not say why"]
        raise WorkerError(f"--executor slurm: sbatch refuses the jobs: {said[0]}")


def _wait_for_one(client: Any, seconds: float) -> None:
    """Wait until a job has started.

    Raises:
        WorkerError: none has within the time.
    """
    until = time.monotonic() + seconds
    while not client.scheduler_info(n_workers=-1)["workers"]:
        if time.monotonic() > until:
            raise WorkerError(
                f"--executor slurm: no job has started within {seconds / 60:.0f} min (squeue --me "
                f"says why); choose another partition, a shorter time, or wait longer: slurm:wait=N"
            )
        with suppress(Exception):
            client.wait_for_workers(1, timeout=_STEP)


@contextmanager
def _errors() -> Iterator[None]:
    """What dask-jobqueue finds wrong is one sentence."""
    try:
        yield
    except (AssertionError, OSError, RuntimeError, ValueError) as error:
        raise WorkerError(
            f"--executor slurm: no job can be submitted ({first_line(error)})"
        ) from None
