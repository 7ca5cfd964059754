"""Who does the work that is split by cases: processes of this machine, or those of a cluster.

- ``base``: what a kind of executor is, and what a pool of its workers promises
- ``spreading``: items in, results out as they are done; the items of a worker that died again
- ``given``: an executor that a Python program made itself
- ``processes``, ``dask``, ``slurm``: the kinds that ship with mriseg

All of it is about the standard `concurrent.futures.Executor`. What is done, and for what, is the
business of recipes: here functions and items are opaque.
"""

from __future__ import annotations

from mriseg.errors import ConfigError
from mriseg.executors.base import Kind, Pool
from mriseg.registry import Registry

__all__ = ["EXECUTORS", "PROCESSES", "Kind", "Pool", "chosen"]

PROCESSES = "processes"

EXECUTORS: Registry[Kind] = Registry(
    "executor",
    {
        PROCESSES: "mriseg.executors.processes:EXECUTOR",
        "dask": "mriseg.executors.dask:EXECUTOR",
        "slurm": "mriseg.executors.slurm:EXECUTOR",
    },
    group="mriseg.executors",
)


def chosen(text: str) -> tuple[Kind, str]:
    """The kind of executor that a user's text names, and the address behind the first colon.

    Args:
        text: as in "processes", "dask:tcp://host:8786" and "slurm:partition=gpu,time=60".

    Raises:
        UnknownNameError: there is no such kind.
        ConfigError: no name is given.
    """
    name, _, address = text.partition(":")
    if not name:
        raise ConfigError(f"--executor {text!r}: expected NAME or NAME:ADDRESS")
    return EXECUTORS[name], address
