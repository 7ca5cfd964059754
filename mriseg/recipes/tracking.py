"""Trackers over the events of a training: whatever one does, the training goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mriseg.errors import MrisegError, first_line
from mriseg.events import Event, Measured, Notice, R, Recipe, Started, Wrote, passed
from mriseg.io.runs import Run, open_run
from mriseg.io.trackers import TRACKERS, Ended, TrackedTraining, Tracking
from mriseg.io.trackers.record import Entry, read_record, write_record

# Files of a run that name no case; weights and pages do (``mriseg share`` makes some that do not).
_ARTEFACTS = ("curves.png", "transfer.json")


def check_trackers(names: Sequence[str]) -> None:
    """Make sure, before a training, that its trackers are there.

    Raises:
        UnknownNameError: a name is not one of a tracker.
        ConfigError: what a tracker needs is not installed.
    """
    for name in names:
        TRACKERS[name].check()


def tracked(recipe: Recipe[R], names: Sequence[str] = ()) -> Recipe[R]:
    """A training whose events trackers are handed, too.

    A run that was tracked before goes on in the same trackers, without an option. A tracker
    that fails is named once and then left out; what it missed it gets when the run is resumed.

    Args:
        recipe: a training, or what consists of one.
        names: of the trackers, in `mriseg.io.trackers.TRACKERS`.
    """
    trackers, ended, reason = _Trackers(names), Ended.FAILED, ""

    def on(event: Event) -> Iterator[Event]:
        yield event
        yield from trackers.hear(event)

    try:
        result = yield from passed(recipe, on)
        ended, reason = Ended.DONE, str(getattr(result, "reason", ""))
    except (KeyboardInterrupt, GeneratorExit):
        ended = Ended.STOPPED
        raise
    except MrisegError as error:
        reason = first_line(error)
        raise
    finally:
        notices = trackers.close(ended, reason)
    yield from notices
    return result


class _Trackers:
    """The trackers of a training that have not failed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(dict.fromkeys(names))
        self._open: dict[str, Tracking] = {}
        self._record: dict[str, Entry] = {}
        self._folder = Path()

    def hear(self, event: Event) -> Iterator[Notice]:
        """Hand an event on; what went wrong, by the tracker's name."""
        match event:
            case Started(path):
                yield from self._begin(open_run(path))
            case Measured(stage="epoch", step=epoch, numbers=numbers) if self._open:
                yield from self._each(lambda name: self._epoch(name, epoch, numbers))
                yield from self._keep()
            case Wrote(path, what="run") if self._open:
                files = [path / name for name in _ARTEFACTS if (path / name).is_file()]
                yield from self._each(lambda name: self._artefacts(name, files))

    def close(self, ended: Ended, reason: str) -> list[Notice]:
        """Close all that are open; what went wrong."""
        notices = list(self._each(lambda name: self._open[name].close(ended, reason)))
        self._open.clear()
        return notices

    def _begin(self, run: Run) -> Iterator[Notice]:
        self._folder = run.path
        try:
            self._record = read_record(run.path)
        except MrisegError as error:
            yield Notice(str(error))
        names = tuple(dict.fromkeys((*self._names, *self._record)))
        if not names:
            return
        training, rows = _described(run), run.read_log()

        def begin(name: str) -> None:
            known = self._record.get(name)
            opened = TRACKERS[name].begin(training, known.id if known else None)
            self._open[name] = opened
            self._record[name] = known or Entry(opened.id, 0)
            # What it missed: of an earlier sitting that was killed, or in which it failed.
            for row in rows:
                self._epoch(name, row["epoch"], row)

        yield from self._each(begin, names)
        yield from self._keep()

    def _epoch(self, name: str, epoch: int, numbers: Mapping[str, Any]) -> None:
        entry = self._record[name]
        if epoch > entry.epoch:
            known = {k: v for k, v in numbers.items() if k != "epoch" and v is not None}
            self._open[name].epoch(epoch, known)
            self._record[name] = replace(entry, epoch=epoch)

    def _artefacts(self, name: str, files: Sequence[Path]) -> None:
        for path in files:
            self._open[name].artefact(path)

    def _keep(self) -> Iterator[Notice]:
        try:
            write_record(self._folder, self._record)
        except MrisegError as error:
            yield Notice(f"what trackers have of this training is not recorded: {error}")

    def _each(
        self, do: Callable[[str], None], names: Sequence[str] | None = None
    ) -> Iterator[Notice]:
        for name in names if names is not None else tuple(self._open):
            try:
                do(name)
            except Exception as error:  # of any library: a training is worth more
                self._open.pop(name, None)
                yield Notice(
                    f"the tracker {name} failed and is not used any further, the training goes on: "
                    f"{first_line(error)}"
                )


def _described(run: Run) -> TrackedTraining:
    manifest = run.manifest
    facts = {
        "modalities": "+".join(manifest.modalities),
        "regions": ", ".join(manifest.regions),
        "cases": f"{len(manifest.train)} train, {len(manifest.validation)} validate",
        "backend": " ".join(str(manifest.backend.get(key, "")) for key in ("name", "precision")),
        "transfer": "yes" if manifest.parent else "no",
        **{f"version.{name}": version for name, version in manifest.versions.items()},
    }
    return TrackedTraining(run.name, dict(_flat(manifest.portable_config)), facts)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{name}", ", ".join(map(str, value))
        else:
            yield f"{prefix}{name}", value
