"""Those who read scans, and those who write them into a store: what they need is the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from mriseg.io.disk.shared import SharedPath, Workroom, workroom
from mriseg.io.location import Location
from mriseg.io.readers.base import Case
from mriseg.recipes.case_work import CaseWorkers, Workers, case_workers, elsewhere
from mriseg.recipes.worker_check import Needs


@contextmanager
def reading_workers(who: Workers, cases: Sequence[Case]) -> Iterator[CaseWorkers]:
    """Those who read cases.

    Raises:
        WorkerError: workers are not there, or do not see the files.
    """
    needs = Needs(paths=some_of(cases)) if elsewhere(who) else None
    with case_workers(who, len(cases), needs) as workers:
        yield workers


@contextmanager
def writing_workers(
    who: Workers, cases: Sequence[Case], where: Location
) -> Iterator[tuple[CaseWorkers, Workroom | None]]:
    """Those who read cases and write them into a store; on other machines, with their workroom.

    Raises:
        WorkerError: workers are not there, or do not see the files or the store.
        OutputError: the store cannot be written.
    """
    with ExitStack() as stack:
        needs = room = None
        if elsewhere(who) and cases:
            if where.is_local:
                room = stack.enter_context(workroom(where.path))
            stores = () if where.is_local else (str(where),)
            needs = Needs(paths=some_of(cases), stores=stores, room=room)
        yield stack.enter_context(case_workers(who, len(cases), needs)), room


class WithFiles(Protocol):
    """Something that is read from files."""

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""


def some_of(cases: Sequence[WithFiles]) -> tuple[SharedPath, ...]:
    """The files of a few cases, from all over: to look at one takes each worker some time.

    Files that this process cannot read are left out; their case will say so.
    """
    if not cases:
        return ()
    files = [file for n in {0, len(cases) // 2, len(cases) - 1} for file in cases[n].files]
    return tuple(SharedPath.of(file) for file in dict.fromkeys(files) if file.is_file())


def name_of(case: Case) -> str:
    """How a case is called in a message."""
    return f"case {case.name}"
