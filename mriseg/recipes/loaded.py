"""A model where it is used: loaded once in this process, or once by each worker."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from mriseg.engine.segmenter import Segmenter, SegmentOptions
from mriseg.errors import WorkerError
from mriseg.io.disk.shared import SharedPath
from mriseg.io.location import Location
from mriseg.io.model_sources import spoken
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store
from mriseg.recipes.case_work import Where, elsewhere
from mriseg.recipes.certainty import Judge
from mriseg.recipes.lazy import Lazy
from mriseg.recipes.load import load
from mriseg.recipes.worker_check import Needs


@dataclass(frozen=True)
class Loaded:
    """A run with what segments and judges by it.

    Attributes:
        run: the model.
        options: how masks are made.
    """

    run: Run
    options: SegmentOptions

    @cached_property
    def segmenter(self) -> Segmenter:
        """Segments; raises RunError where the weights are damaged or were never trained."""
        return Segmenter(load(self.run), self.options)

    @cached_property
    def judge(self) -> Judge:
        """Says how sure a mask is; raises RunError where what the run knows of it is damaged."""
        return Judge(self.run, self.options)


def loaded(run: Run, options: SegmentOptions) -> Lazy[Loaded]:
    """A model that is loaded once here, and once by each worker.

    Raises:
        RunError: its weights are missing or damaged.
    """
    digest, given = run.digest(), _given(run)
    key = ("model", str(given), digest, options)
    return Lazy(key, partial(_load, given, digest, options), Loaded(run, options))


def lazy_run(run: Run) -> Lazy[Run]:
    """A run that each worker opens for itself."""
    digest, given = run.digest(), _given(run)
    return Lazy(("run", str(given), digest), partial(_opened, given, digest), run)


def needs_of(store: Store | None, run: Run | None) -> Needs:
    """What workers need to read of a store and a run."""
    needs = Needs()
    if run is not None and spoken(run.path) == str(run.path):
        needs = replace(needs, paths=(SharedPath.of(run.path),))
    if store is not None:
        where = Location.of(store.location)
        if where.is_local:
            needs = replace(needs, paths=(*needs.paths, SharedPath.of(where.path)))
        else:
            needs = replace(needs, stores=(str(where),))
    return needs


def reachable(store: Store, where: Where) -> Store:
    """A store as those who work ``where`` find it, who may be in another folder."""
    return store.absolute if elsewhere(where) else store


def _given(run: Run) -> str | Path:
    """How a worker names a run; a shipped model lies elsewhere in another installation."""
    name = spoken(run.path)
    return run.path.absolute() if name == str(run.path) else name


def _load(given: str | Path, digest: str, options: SegmentOptions) -> Loaded:
    return Loaded(_opened(given, digest), options)


def _opened(given: str | Path, digest: str) -> Run:
    run = open_run(given)
    if run.digest() != digest:
        raise WorkerError(f"a worker has another model at {given}; give it the same one")
    return run
