"""A folder of scans into a store.

Cases are independent: each is read, prepared and appended by whichever process is free, and at
most one case a process is in memory. A case that cannot be used is told and left out; one that is
whole in the store already, from the same files, is not done again.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.util
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from mriseg.core.prepare import content_digest, prepare
from mriseg.core.regions import Regions, join_labels, parse_regions
from mriseg.errors import CaseError, IncompleteError, InputError, MrisegError
from mriseg.events import Advanced, Began, Notice, Recipe, Skipped, Wrote
from mriseg.io import readers
from mriseg.io import store as stores
from mriseg.io.disk.checksums import sha256, write_sealed_json
from mriseg.io.disk.locks import locked
from mriseg.io.readers import Case, Listing, ReaderOptions
from mriseg.io.store import Store, StoreSpec
from mriseg.io.store.arrays import is_local


@dataclass(frozen=True)
class CaseReport:
    """What became of one case.

    Attributes:
        case: its name.
        status: "written", "kept" (whole in the store already) or "skipped".
        reason: why it was skipped.
        modalities: those it has.
        labelled: whether it has a segmentation.
        shape: stored slices, height and width.
        notices: what was accepted although it is odd.
    """

    case: str
    status: str
    reason: str = ""
    modalities: tuple[str, ...] = ()
    labelled: bool = False
    shape: tuple[int, ...] = ()
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class PreprocessReport:
    """What `preprocess` did; also in the store's ``report.json``."""

    store: str
    layout: str
    regions: Regions
    cases: tuple[CaseReport, ...]

    @property
    def skipped(self) -> tuple[CaseReport, ...]:
        """Cases that could not be used."""
        return tuple(case for case in self.cases if case.status == "skipped")

    def to_json(self) -> dict[str, Any]:
        """This report as JSON types."""
        return {
            "store": self.store,
            "layout": self.layout,
            "regions": {name: list(values) for name, values in self.regions.items()},
            "cases": [dict(case.__dict__) for case in self.cases],
        }


def default_workers() -> int:
    """Processes that preprocessing takes unless told: one a core, eight at most."""
    return min(os.cpu_count() or 1, 8)


def preprocess(
    source: Path,
    out: Path,
    *,
    layout: str = "auto",
    regions: str | None = None,
    channels: Sequence[str] | None = None,
    workers: int | None = None,
    strict: bool = False,
) -> Recipe[PreprocessReport]:
    """Make, or go on with, the store ``out`` from the scans under ``source``.

    Args:
        source: the folder of scans.
        out: the store; one that is there already is added to.
        layout: "auto" or a name in `mriseg.io.readers.READERS`.
        regions: as `mriseg.core.regions.parse_regions` takes them; None: the layout's default,
            which is the whole tumour, or every labelled voxel where labels are of something else.
        channels: names of the channels, for layouts whose files do not name them.
        workers: processes; None: one a core.
        strict: stop at the first case that cannot be used.

    Returns:
        What became of each case. The caller decides what a skipped one means; the command line
        exits with IncompleteError's code.

    Raises:
        InputError: no case was found, or, when strict, one cannot be used.
        OutputError: the store cannot be written, or was made with other settings.
        BusyError: another process is writing the store.
        ConfigError: the regions or the layout are not known.
    """
    options = ReaderOptions(tuple(channels) if channels else None)
    chosen, found = readers.find(source, layout, options)
    default = dict(list(found.regions.items())[:1])
    wanted = parse_regions(regions, found.regions) if regions else default
    yield Notice(
        f"{len(found.cases)} case{'s' * (len(found.cases) != 1)} in layout {chosen}; "
        f"regions: {', '.join(f'{n} ({_labels(v)})' for n, v in wanted.items())}"
    )
    for text in found.notices:
        yield Notice(text)
    # What is done before this takes no time, and a folder is not made for a source without cases.
    with locked(out, "preprocess") if is_local(str(out)) else nullcontext():
        store = stores.create(out, StoreSpec(wanted, found.labels, chosen))
        return (yield from _filled(store, source, found, chosen, workers, strict))


def _filled(
    store: Store, source: Path, found: Listing, layout: str, workers: int | None, strict: bool
) -> Recipe[PreprocessReport]:
    """The cases that are not in the store yet, put there."""
    store.sweep()
    before = store.cases()
    reports = [CaseReport(name, "skipped", reason) for name, reason in found.skipped]
    for report in reports:
        if strict:
            raise CaseError(report.case, report.reason)
        yield Skipped(report.case, report.reason)
    todo: list[Case] = []
    for case in found.cases:
        unchanged = case.name in before and _same_files(before[case.name], case)
        # Cases of an older version get what it lacked; one whose files were lost is done again.
        if unchanged and store.renew(case.name, before[case.name]):
            reports.append(_kept(before[case.name]))
        else:
            todo.append(case)
    if len(reports) > len(found.skipped):
        yield Notice(f"{len(reports) - len(found.skipped)} cases are in the store already")

    yield Began("preprocess", len(todo), "case")
    for count, report in enumerate(_each(todo, store, workers or default_workers()), start=1):
        reports.append(report)
        for text in report.notices:
            yield Notice(f"{report.case}: {text}")
        if report.status == "skipped":
            yield Skipped(report.case, report.reason)
            if strict:
                raise CaseError(report.case, report.reason)
        yield Advanced("preprocess", count, item=report.case)

    result = PreprocessReport(
        store.location, layout, store.spec.regions, tuple(sorted(reports, key=lambda r: r.case))
    )
    if is_local(store.location):
        out = Path(store.location)
        write_sealed_json(out / "report.json", result.to_json(), make_folder=False)
        yield Wrote(out, "store")
    if len(result.skipped) == len(result.cases):
        first = result.skipped[0]
        raise InputError(
            f"none of the {len(result.cases)} cases under {source} could be used; "
            f"{first.case}: {first.reason}"
        )
    return result


def check_complete(report: PreprocessReport) -> None:
    """Raise IncompleteError if a case was skipped."""
    if report.skipped:
        raise IncompleteError(
            f"{len(report.skipped)} of {len(report.cases)} cases were skipped: "
            f"{', '.join(case.case for case in report.skipped)}; the reasons are in "
            f"{report.store}/report.json"
        )


def write_case(store: Store, case: Case) -> CaseReport:
    """Read, prepare and append one case; a problem with it becomes its report."""
    try:
        try:
            loaded = case.load()
            prepared = prepare(loaded.images, loaded.labels, loaded.geometry)
            sources = [_identity(path) | {"sha256": sha256(path)} for path in case.files]
        except CaseError:
            raise
        except (InputError, OSError) as error:
            raise CaseError(case.name, str(error)) from None
        notices = list(loaded.notices)
        if loaded.labels is not None and not loaded.labels.any():
            notices.append("the segmentation is empty")
        store.append(
            case.name,
            prepared,
            patient=case.patient,
            content=content_digest(loaded.images),
            sources=sources,
            notices=notices,
        )
    except CaseError as error:
        return CaseReport(case.name, "skipped", error.reason)
    return CaseReport(
        case=case.name,
        status="written",
        modalities=prepared.modalities,
        labelled=prepared.labels is not None,
        shape=prepared.box.shape,
        notices=tuple(notices),
    )


def _each(cases: Sequence[Case], store: Store, workers: int) -> Iterator[CaseReport]:
    """Reports as cases finish. A few cases are under way at a time, however many there are."""
    if workers == 1 or len(cases) < 2:
        for case in cases:
            yield write_case(store, case)
        return
    # Spawned, since forking a process that runs threads (torch's, zarr's) can deadlock.
    context = multiprocessing.get_context("spawn")
    workers = min(workers, len(cases))
    living, life = context.Pipe(duplex=False)
    with (
        living,
        life,
        ProcessPoolExecutor(
            workers, mp_context=context, initializer=_live_with_parent, initargs=(living,)
        ) as pool,
    ):
        try:
            yield from _spread(pool, cases, store, workers)
        except BrokenProcessPool:
            raise MrisegError(
                "a preprocessing process was killed, most likely for want of memory; "
                "start again with --workers 1: it goes on with the cases left"
            ) from None
        except (KeyboardInterrupt, GeneratorExit):
            # Stopped: what is under way is begun anew another time, so nobody waits for it.
            life.close()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


# What asks a whole group of processes to stop: Ctrl-C, a closed terminal, a time limit.
_STOPPING = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def _live_with_parent(living: Connection) -> None:
    """A process whose parent was killed would wait for work for ever.

    Args:
        living: ends when the parent does, or when it wants no more.
    """
    # They are the parent's to handle.
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)

    def watch() -> None:
        with suppress(EOFError, OSError):
            living.recv_bytes()
        # As any process of multiprocessing's ends; or else it warns of the semaphores that
        # libraries made in this one, such as numcodecs'.
        multiprocessing.util._run_finalizers(0)  # type: ignore[attr-defined]
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _signals_later() -> Iterator[None]:
    """Processes that are started in here do not hear of signals until they can handle them."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _spread(
    pool: Executor, cases: Sequence[Case], store: Store, workers: int
) -> Iterator[CaseReport]:
    left = list(reversed(cases))
    running: set[Future[CaseReport]] = set()
    while left or running:
        while left and len(running) < workers + 1:
            with _signals_later():
                running.add(pool.submit(write_case, store, left.pop()))
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _same_files(attributes: dict[str, Any], case: Case) -> bool:
    """Whether a stored case was read from these files, as they are now, under these names."""
    stored = attributes["sources"]
    if [source["name"] for source in stored] != [path.name for path in case.files]:
        return False
    if not set(attributes["modalities"]) <= set(case.modalities):
        return False
    return all(_unchanged(*pair) for pair in zip(stored, case.files, strict=True))


def _unchanged(source: Mapping[str, Any], path: Path) -> bool:
    """By size and time of change; where only the time differs (a copy), by the content."""
    try:
        now = _identity(path)
        if now["size"] != source["size"]:
            return False
        return bool(now["modified"] == source["modified"] or sha256(path) == source["sha256"])
    except (InputError, OSError):
        return False


def _identity(path: Path) -> dict[str, Any]:
    found = path.stat()
    return {"name": path.name, "size": found.st_size, "modified": found.st_mtime_ns}


def _kept(attributes: dict[str, Any]) -> CaseReport:
    box = attributes["box"]
    return CaseReport(
        case=attributes["name"],
        status="kept",
        modalities=tuple(attributes["modalities"]),
        labelled=attributes["labelled"],
        shape=tuple(b - a for a, b in zip(box["start"], box["stop"], strict=True)),
        notices=tuple(attributes["notices"]),
    )


def _labels(values: Sequence[int]) -> str:
    return f"label{'s' * (len(values) != 1)} {join_labels(values)}"
