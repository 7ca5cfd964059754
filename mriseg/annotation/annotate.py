"""A session of `mriseg annotate`: the folder, the page, and the work that goes on meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from mriseg.annotation.app import Page
from mriseg.annotation.background import Background
from mriseg.annotation.desk import Desk
from mriseg.annotation.improving import Improve, Improving
from mriseg.annotation.server import serving
from mriseg.backends.base import Backend
from mriseg.errors import ConfigError, InputError, OutputError
from mriseg.events import Event, Notice, Recipe
from mriseg.io.corrections import read_corrections
from mriseg.io.disk.space import check_writable
from mriseg.io.finding import Kind, what_is
from mriseg.io.location import Location
from mriseg.io.model_sources import spoken
from mriseg.io.predictions import ModelName
from mriseg.io.runs import Run
from mriseg.io.writers.names import file_stems
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes.annotation_labels import take_over
from mriseg.recipes.annotation_queue import AnnotateSession, fill_queue
from mriseg.recipes.scans import ScanOptions
from mriseg.recipes.sources import list_sources

ENDING = "-annotation"
"""What follows the name of the scans' folder in the name of the session's, beside it."""

_STATES = ("corrected", "accepted", "skipped", "open")

# Seconds between two looks at whether the session is to end, and those that its work gets to end.
_TURN, _GRACE = 0.5, 5.0


@dataclass(frozen=True, repr=False)
class AnnotateReport(Shown):
    """What is recorded when a session ends.

    Attributes:
        out: the session's folder.
        corrected: cases with a correction, or with a segmentation made elsewhere.
        accepted: cases whose mask was accepted as it is.
        skipped: cases that were left out.
        open: cases that nobody has looked at.
    """

    out: Path
    corrected: int
    accepted: int
    skipped: int
    open: int

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        counts = {name: getattr(self, name) for name in _STATES}
        said = ", ".join(f"{count} {name}" for name, count in counts.items())
        return Overview(title=f"corrections in {self.out}: {said}", records=[counts])


def folder_of(source: Location, out: Path | None) -> Path:
    """The folder of a session: the one that is named, or one beside the scans.

    Raises:
        ConfigError: the scans are at a URL, and none is named.
        OutputError: it would be among the scans.
    """
    if out is None:
        if not source.is_local:
            raise ConfigError(
                f"{source} is not a folder of this machine: name one for the corrections with --out"
            )
        scans = source.path.resolve()
        return scans.with_name(f"{scans.name}{ENDING}")
    if source.is_local:
        inside, scans = out.resolve(), source.path.resolve()
        if inside == scans or scans in inside.parents:
            raise OutputError(
                f"{out} lies in {source}, among the scans, where masks would be taken for scans; "
                f"name a folder outside of it with --out"
            )
    return out


def open_session(
    source: Location, run: Run, who: str, out: Path | None, scans: ScanOptions
) -> tuple[AnnotateSession, tuple[str, ...]]:
    """A session, new or continued; and what was assumed about the scans.

    Raises:
        InputError: there is no case, or the folder holds corrections of other scans.
        OutputError: the folder cannot be written.
    """
    folder = folder_of(source, out)
    if what_is(folder) in (Kind.STORE, Kind.RUN):
        raise OutputError(f"{folder} is a store or a run; name another folder with --out")
    prepared = run.manifest.preparation
    listed = list_sources(source, scans.layout, scans.for_readers.channels, prepared)
    check_writable(folder)
    session = AnnotateSession(
        source=source,
        out=folder,
        run=run,
        model=ModelName(spoken(run.path), run.digest()),
        cases=listed.cases,
        stems=file_stems(listed.cases),
        who=who,
        scans=scans,
    )
    _check_corrections(session)
    return session, listed.notices


def _check_corrections(session: AnnotateSession) -> None:
    """Refuse a folder whose corrections are of other scans or of other regions."""
    regions = tuple(session.run.manifest.regions)
    for name, correction in read_corrections(session.out).cases.items():
        if correction.regions != regions:
            raise InputError(
                f"{session.out} holds corrections of {', '.join(correction.regions)}, and "
                f"{session.model.path} segments {', '.join(regions)}; name another folder "
                f"with --out"
            )
        item = session.cases.get(name)
        if item is not None and correction.scan and not item.is_of(correction.scan):
            raise InputError(
                f"{session.out} holds a correction of the case {name} from other files "
                f"({correction.source}), or they were changed since; name another folder with --out"
            )


def annotate(
    session: AnnotateSession,
    backend: Backend,
    notices: Sequence[str] = (),
    *,
    port: int | None = None,
    improve: Improve | None = None,
    on_ready: Callable[[str], None] = lambda _: None,
) -> Recipe[AnnotateReport]:
    """Serve the page and fill its queue, until the caller closes this (Ctrl-C).

    Args:
        session: from `open_session`.
        backend: where to compute.
        notices: what was assumed about the scans.
        port: to listen on; None: a free one.
        improve: makes the recipe that learns from the corrections; None: the page offers none.
        on_ready: is handed the page's address when it can be opened.

    Yields:
        The address of the page in a notice, and the events of the work that goes on meanwhile.

    Raises:
        ConfigError: the port is taken.
    """
    heard: SimpleQueue[Event] = SimpleQueue()
    preparing = Background(heard.put)
    desk = Desk(session)
    improving = Improving(improve, desk.queue.patients_done)
    with (
        _ended(desk, preparing, improving.work),
        serving(Page(desk, preparing, improving), port) as address,
    ):
        for text in notices:
            yield Notice(text)
        yield Notice(f"the page is open at {address}")
        yield Notice(f"corrections go into {session.out}; end the session with Ctrl-C")
        on_ready(address)
        preparing.start(lambda: _prepared(session, backend))
        was = "running"
        while True:
            with suppress(Empty):
                yield heard.get(timeout=_TURN)
                continue
            now = preparing.progress
            if now.state != was:
                was = now.state
                if now.message:
                    yield Notice(f"the queue is not complete: {now.message}")


def _prepared(session: AnnotateSession, backend: Backend) -> Recipe[None]:
    if session.scans.labels is not None:
        yield from take_over(session)
    yield from fill_queue(session, backend)


@contextmanager
def _ended(desk: Desk, *works: Background) -> Iterator[None]:
    """Stop what goes on when the block ends."""
    try:
        yield
    finally:
        for work in works:
            work.cancel()
        for work in works:
            work.join(_GRACE)
        desk.close()


def report_of(session: AnnotateSession) -> AnnotateReport:
    """What is recorded now."""
    cases = [c for name, c in read_corrections(session.out).cases.items() if name in session.cases]
    count = dict.fromkeys(("corrected", "accepted", "skipped", "elsewhere"), 0)
    for correction in cases:
        count[correction.status] += 1
    return AnnotateReport(
        out=session.out,
        corrected=count["corrected"] + count["elsewhere"],
        accepted=count["accepted"],
        skipped=count["skipped"],
        open=len(session.cases) - len(cases),
    )
