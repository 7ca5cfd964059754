"""Look at what is there: info."""

from __future__ import annotations

from pathlib import Path
from typing import overload

from mriseg.api._given import backend_of
from mriseg.backends import AUTO, Backend
from mriseg.io.location import Location
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes.info import StoreInfo, holds, store_info
from mriseg.recipes.info_machine import MachineInfo, machine
from mriseg.recipes.info_runs import RunInfo, RunsInfo, run_info


@overload
def info(thing: None = None, *, backend: str | Backend = AUTO) -> MachineInfo: ...


@overload
def info(thing: Store) -> StoreInfo: ...


@overload
def info(thing: Run) -> RunInfo: ...


@overload
def info(thing: str | Path | Location) -> StoreInfo | RunInfo | RunsInfo: ...


def info(
    thing: str | Path | Location | Store | Run | None = None, *, backend: str | Backend = AUTO
) -> StoreInfo | RunInfo | RunsInfo | MachineInfo:
    """Describe a store, a run, a folder of runs, or this machine.

    Args:
        thing: a path, the URL of a store, the name of a shipped model, or an open store or run;
            None: this machine.
        backend: of the machine, as it would be chosen.

    Raises:
        InputError: it is none of them, or of a format that this version cannot read.
    """
    if thing is None:
        return machine(backend_of(backend))
    if isinstance(thing, Store):
        return store_info(thing)
    return run_info(thing) if isinstance(thing, Run) else holds(thing)
