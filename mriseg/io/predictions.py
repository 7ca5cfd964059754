"""The record of a folder of masks, ``report.json``: what made each of them, of which scan.

A mask that is a file of its own has its record beside it, ``NAME.report.json``. The record is
written before the files that it speaks of are moved to their places, so that no mask of mriseg's
is ever without one; where a process was killed in between, it speaks of files that are missing.
Several processes may write into one folder, each its own cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mriseg.core.certainty import RegionCertainty
from mriseg.core.preparation import SessionRecord
from mriseg.errors import InputError, OutputError, reason_of
from mriseg.io import nifti
from mriseg.io.disk.atomic import sync_folder
from mriseg.io.disk.checksums import read_sealed_json, write_sealed_json
from mriseg.io.disk.documents import read_record
from mriseg.io.disk.known_files import KnownFile, digest_of_folder
from mriseg.io.disk.locks import waiting
from mriseg.io.disk.schemas import Name, as_json, checked
from mriseg.io.disk.versions import reading

FORMAT = "mriseg-masks"
FORMAT_VERSION = 2
FILE = "report.json"

_LOCK = ".mriseg.report.lock"


@dataclass(frozen=True)
class ModelName:
    """The model that made a mask.

    Attributes:
        path: the run folder, or the name of a shipped model.
        digest: `mriseg.io.runs.Run.digest`, by which it is known again wherever it lies.
    """

    path: str
    digest: str


@dataclass(frozen=True)
class MaskRecord:
    """What made one mask.

    Attributes:
        case: the case's name.
        mask: the mask's file, as a path from the record: in most folders a name.
        files: the mask, its probability maps and its picture, as they were written.
        source: the folder, file or store that the case was read from, as the user named it.
        scan: the files of the case's images; of a case in a store, those of its array in the
            store, and ``geometry``.
        model: what made it.
        settings: of the prediction, as far as a mask depends on them, with mriseg's version.
        modalities: the channels that were used.
        missing: channels that the model reads and the scan lacks.
        unused: modalities that the scan has and that were not used.
        notices: what was accepted although it is unusual.
        volumes: region -> mL, or voxels where the scan states no voxel size.
        unit: "mm" or "px".
        trained_on: whether the model was trained on this scan.
        created: local time, ISO 8601.
        backend: where and in which precision it was computed.
        versions: of mriseg, torch and Python.
        certainty: region -> how sure its mask is; empty in records of version 1.
        flags: why to look at the mask, in plain words; none in records of version 1.
        session: what was done to the scans before; None: nothing, or an earlier mriseg made it.
    """

    case: Name
    mask: Name
    files: tuple[KnownFile, ...]
    source: str
    scan: tuple[KnownFile, ...]
    model: ModelName
    settings: dict[str, Any]
    modalities: tuple[Name, ...]
    missing: tuple[Name, ...]
    unused: tuple[Name, ...]
    notices: tuple[str, ...]
    volumes: dict[Name, float]
    unit: str
    trained_on: bool
    created: str
    backend: str
    versions: dict[str, str]
    certainty: dict[Name, RegionCertainty] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    session: SessionRecord | None = None


@dataclass(frozen=True)
class SkippedCase:
    """A case without a mask of its own, as of the latest prediction of it.

    Attributes:
        case: its name.
        source: the folder, file or store that it was read from, as the user named it.
        reason: why it was skipped.
    """

    case: Name
    source: str
    reason: str


@dataclass(frozen=True)
class Predictions:
    """What a record holds.

    Attributes:
        masks: by the names of their files.
        skipped: the cases that have none.
        unused: source, as the user named it -> image-like file there -> why it is in no case.
    """

    masks: Mapping[str, MaskRecord] = field(default_factory=dict)
    skipped: tuple[SkippedCase, ...] = ()
    unused: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def with_mask(self, mask: MaskRecord) -> Predictions:
        """With a mask in the place of the one of that name, or of why its case was skipped."""
        masks = dict(sorted({**self.masks, mask.mask: mask}.items()))
        return replace(self.without_skipped(mask.case, mask.source), masks=masks)

    def without_skipped(self, case: str, source: str) -> Predictions:
        """Without an earlier reason to skip a case."""
        kept = [item for item in self.skipped if (item.case, item.source) != (case, source)]
        return replace(self, skipped=tuple(kept))

    def with_unused(self, source: str, files: Mapping[str, str]) -> Predictions:
        """With an account of a source's files that are in no case."""
        unused = {name: each for name, each in self.unused.items() if name != source}
        return replace(self, unused=unused | ({source: dict(files)} if files else {}))

    def with_skipped(self, skipped: SkippedCase) -> Predictions:
        """With a case that was skipped."""
        others = self.without_skipped(skipped.case, skipped.source).skipped
        return replace(self, skipped=(*others, skipped))


def record_path(out: Path) -> Path:
    """Where the record of a folder of masks is, or of a mask that is a file of its own."""
    return out.with_name(f"{nifti.stem(out)}.{FILE}") if nifti.is_nifti(out) else out / FILE


def read_predictions(path: Path, *, replaces_damaged: bool = False) -> Predictions:
    """The record at ``path``; an empty one where there is none.

    Args:
        path: from `record_path`.
        replaces_damaged: take a damaged one for an empty one.

    Raises:
        OutputError: it is not a record of masks, or damaged, or cannot be read.
    """
    data = read_record(
        path,
        FORMAT,
        foreign=(
            "the record of masks that mriseg predict would write there; name another folder for "
            "the masks"
        ),
        error=OutputError,
    )
    if data is None:
        return Predictions()
    try:
        read = reading(
            VERSIONS,
            data.get("version"),
            what=f"{path} has format",
            remedy="name another folder for the masks",
            error=InputError,
        )
    except InputError as error:
        raise OutputError(str(error)) from None
    try:
        return read(read_sealed_json(path))
    except (OSError, ValueError) as error:
        if replaces_damaged:
            return Predictions()
        raise OutputError(
            f"{path} is damaged or was edited ({error}), so that it is not known what made the "
            f"masks beside it; name another folder, or make all masks again with --overwrite"
        ) from None


def update_predictions(
    path: Path, change: Callable[[Predictions], Predictions], *, replaces_damaged: bool = False
) -> None:
    """Write a record with a change of what it is now, in one atomic step.

    Args:
        path: from `record_path`; its folder exists.
        change: of the record; called while no other process changes it.
        replaces_damaged: as in `read_predictions`.

    Raises:
        OutputError: it cannot be read or written; what was there is untouched.
    """
    with waiting(path.parent / _LOCK):
        before = read_predictions(path, replaces_damaged=replaces_damaged)
        after = change(before)
        if after == before:
            return
        document = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "masks": [as_json(mask) for mask in after.masks.values()],
            "skipped": [as_json(case) for case in after.skipped],
            "unused": {source: dict(files) for source, files in after.unused.items()},
        }
        write_sealed_json(path, document, make_folder=False)


def written_files(part: Path, target: Path) -> tuple[KnownFile, ...]:
    """The files in ``part``, as they will lie beside ``target``; that of its name first.

    Raises:
        OutputError: they cannot be read.
    """
    place = digest_of_folder(target.parent)
    with _errors_of(target):
        paths = [path for path in part.iterdir() if not path.name.startswith(".")]
        files = [replace(KnownFile.of(path), folder=place) for path in paths if path.name != "lock"]
    return tuple(sorted(files, key=lambda file: (file.name != target.name, file.name)))


def put_in_place(
    part: Path, target: Path, files: Iterable[KnownFile], stale: Iterable[str]
) -> None:
    """Move ``files`` from ``part`` to lie beside ``target``, in the place of ``stale`` ones.

    Raises:
        OutputError: they cannot be moved.
    """
    with _errors_of(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        for name in stale:
            target.with_name(name).unlink(missing_ok=True)
        for file in files:
            (part / file.name).replace(target.with_name(file.name))
        sync_folder(target.parent)


@contextmanager
def _errors_of(target: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, InputError) as error:
        raise OutputError(f"{target} cannot be written: {reason_of(error)}") from error


def _read_version_1(data: Mapping[str, Any]) -> Predictions:
    return _read(data, ())


def _read_version_2(data: Mapping[str, Any]) -> Predictions:
    return _read(data, ("certainty", "flags"))


def _read(data: Mapping[str, Any], since: tuple[str, ...]) -> Predictions:
    """What a document holds; ``since`` are keys of a mask that its version brought."""
    masks = checked(tuple[MaskRecord, ...], data.get("masks"))
    # Every key is written, so one that is missing was lost; its default would hide that.
    lost = [key for item in data.get("masks", ()) for key in since if key not in item]
    if lost:
        raise ValueError(f"a mask lacks {lost[0]}")
    skipped = checked(tuple[SkippedCase, ...], data.get("skipped"))
    unused = checked(dict[str, dict[str, str]], data.get("unused"))
    return Predictions({mask.mask: mask for mask in masks}, skipped, unused)


VERSIONS: Mapping[int, Callable[[Mapping[str, Any]], Predictions]] = {
    1: _read_version_1,
    2: _read_version_2,
}
"""How a record of each version is read."""
