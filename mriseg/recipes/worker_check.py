"""What workers need, and whether they have it: looked at before the work, and by newcomers."""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from mriseg import __version__
from mriseg.core.choice import Choice
from mriseg.errors import MrisegError, WorkerError, first_line
from mriseg.io.disk.shared import SharedPath, Workroom
from mriseg.io.store import open_store
from mriseg.recipes.lazy import Lazy

if TYPE_CHECKING:
    from mriseg.backends import Backend

_MAX_LISTED = 3


@dataclass(frozen=True)
class Needs:
    """What every worker has to have.

    Attributes:
        versions: (package, or "python"; version) that have to be the same.
        paths: what is read.
        stores: URLs of stores that are read or written.
        room: of the folder that is written into; None: workers write nothing.
        backend: to compute on; None: they compute nothing.
    """

    versions: tuple[tuple[str, str], ...] = ()
    paths: tuple[SharedPath, ...] = ()
    stores: tuple[str, ...] = ()
    room: Workroom | None = None
    backend: Choice | None = None


@dataclass(frozen=True)
class WorkerFacts:
    """What a worker said of itself.

    Attributes:
        where: its machine and process.
        problems: what it lacks, each as the end of a sentence about it.
        backend: `mriseg.backends.describe` of what it computes on; empty where it computes nothing.
    """

    where: str
    problems: tuple[str, ...]
    backend: Mapping[str, Any]


def versions_here(packages: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The versions that workers have to have too: Python's, mriseg's, PyTorch's and others'."""
    return tuple((name, _version(name)) for name in ("python", "mriseg", "torch", *packages))


def lazy_backend(asked: Choice) -> Lazy[Backend]:
    """A backend that each worker makes for itself."""
    return Lazy(asked, _Selecting(asked))


@dataclass(frozen=True)
class _Selecting:
    asked: Choice

    def __call__(self) -> Backend:
        from mriseg.backends import select  # PyTorch, which who reads scans does without

        asked = self.asked
        return select(
            asked.name,
            precision=asked.precision,
            deterministic=asked.deterministic,
            compile=asked.compile,
        )


@lru_cache(maxsize=4)
def look(needs: Needs) -> WorkerFacts:
    """What the worker that calls this has of what is needed; looked at once per command."""
    where = f"{socket.gethostname()}, process {os.getpid()}"
    problems = [
        f"has {name} {_version(name) or '(none)'}, and {version} is needed"
        for name, version in needs.versions
        if _version(name) != version
    ]
    if problems:
        return WorkerFacts(where, tuple(problems), {})
    problems += [text for path in needs.paths if (text := path.problem())]
    problems += [text for url in needs.stores if (text := _store_problem(url))]
    if needs.room is not None and (text := needs.room.problem()):
        problems.append(text)
    facts: dict[str, Any] = {}
    if needs.backend is not None:
        try:
            from mriseg.backends import describe

            facts = describe(lazy_backend(needs.backend)())
        except MrisegError as error:
            problems.append(f"cannot compute as asked: {error}")
    return WorkerFacts(where, tuple(problems), facts)


def check(answers: Mapping[str, WorkerFacts | Exception]) -> dict[str, WorkerFacts]:
    """What all workers said of themselves, where none lacks anything.

    Args:
        answers: worker -> what `look` gave there, or why it could not be called.

    Raises:
        WorkerError: one lacks something; names it, and what.
    """
    unfit = {name: text for name, answer in answers.items() if (text := _unfit(answer))}
    if unfit:
        listed = "; ".join(f"worker {name} {text}" for name, text in [*unfit.items()][:_MAX_LISTED])
        more = len(unfit) - _MAX_LISTED
        listed += f"; and {more} more like them" if more > 0 else ""
        raise WorkerError(
            f"{listed}. Nothing was begun: give all workers the same software and the same files "
            f"as this machine, at the same paths"
        )
    return {name: answer for name, answer in answers.items() if isinstance(answer, WorkerFacts)}


def check_itself(needs: Needs) -> None:
    """Raise WorkerError if the worker that calls this lacks something."""
    facts = look(needs)
    if facts.problems:
        check({f"({facts.where})": facts})


def _unfit(answer: WorkerFacts | Exception) -> str:
    if isinstance(answer, ModuleNotFoundError):
        return f"has no {answer.name} of this version ({answer})"
    if isinstance(answer, Exception):
        return f"cannot run mriseg {__version__} ({first_line(answer)})"
    return ", ".join(answer.problems)


def _version(name: str) -> str:
    if name == "python":
        return ".".join(platform.python_version_tuple()[:2])
    if name == "mriseg":
        return __version__
    try:
        # Without the build: a machine that only hands out the work needs no CUDA.
        return metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        return ""


def _store_problem(url: str) -> str:
    try:
        open_store(url)
    except Exception as error:
        return f"cannot open {url} ({first_line(error)})"
    return ""
