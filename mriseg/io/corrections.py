"""Corrections: segmentations that a person made, accepted or brought, and who, when, of what.

A folder with ``corrections.json`` and a label map ``STEM.nii.gz`` per corrected case. A correction
is work of a person, so that no moment may lose it. It is written whole under a hidden name, then
recorded with its checksum, then moved to its place. What was killed before the record never
happened; what was killed after it is finished when the folder is read next. A mask that is not
what its record says was therefore edited in another program: it counts, and is that person's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from mriseg.errors import InputError, OutputError, reason_of
from mriseg.io import nifti
from mriseg.io.disk.checksums import read_sealed_json, sha256, write_sealed_json
from mriseg.io.disk.documents import read_record
from mriseg.io.disk.known_files import KnownFile
from mriseg.io.disk.locks import waiting
from mriseg.io.disk.schemas import Name, as_json, checked
from mriseg.io.disk.versions import reading
from mriseg.io.predictions import ModelName

FORMAT = "mriseg-corrections"
FORMAT_VERSION = 1
FILE = "corrections.json"

Status = Literal["corrected", "accepted", "skipped", "elsewhere"]
MaskState = Literal["none", "recorded", "edited", "missing"]

_LOCK = ".mriseg.corrections.lock"
_SAVING = ".saving-"


@dataclass(frozen=True)
class Correction:
    """What a person said of one case.

    Attributes:
        case: the case's name.
        mask: its label map in the folder, on the scan's own grid, as
            `mriseg.core.regions.label_map` numbers the regions; empty for a skipped case.
        source: the folder, file or store that the case was read from, as the user named it.
        scan: the files of the case's images, by which the scan is known again.
        model: whose segmentation was looked at.
        regions: names, in the order of the model's.
        status: "elsewhere" is a segmentation that was made with another program.
        who: the person.
        when: local time, ISO 8601.
        file: the label map as it was written; None for a skipped case.
        patient: whose scan it is.
        volumes: region -> mL, or voxels where the scan states no voxel size.
    """

    case: Name
    mask: Name
    source: str
    scan: tuple[KnownFile, ...]
    model: ModelName
    regions: tuple[Name, ...]
    status: Status
    who: Name
    when: str
    file: KnownFile | None
    patient: Name
    volumes: dict[Name, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status == "skipped":
            if self.mask or self.file is not None:
                raise InputError(f"the skipped case {self.case!r} has a mask")
        elif not nifti.is_nifti(Path(self.mask)) or not _is_plain(self.mask):
            raise InputError(f"{self.mask!r} is not the name of a mask in the folder")


@dataclass(frozen=True)
class Corrections:
    """What a record holds.

    Attributes:
        cases: by their names.
        held_out: patients that are kept aside for good, as a test.
    """

    cases: Mapping[str, Correction] = field(default_factory=dict)
    held_out: tuple[str, ...] = ()

    def with_case(self, correction: Correction) -> Corrections:
        """With a correction in the place of the case's former one."""
        cases = {**self.cases, correction.case: correction}
        return replace(self, cases=dict(sorted(cases.items())))

    def without_case(self, case: str) -> Corrections:
        """Without what was said of a case."""
        return replace(self, cases={name: c for name, c in self.cases.items() if name != case})


def read_corrections(folder: Path) -> Corrections:
    """What is recorded in ``folder``; nothing where there is no record.

    A correction whose process was killed after it was recorded is moved to its place first.

    Raises:
        InputError: it is not a record of corrections, or damaged, or cannot be read.
    """
    if any(_unfinished(folder)):
        with waiting(folder / _LOCK):
            corrections = _read(folder)
            _finish(folder, corrections)
            return corrections
    return _read(folder)


def update_corrections(folder: Path, change: Callable[[Corrections], Corrections]) -> Corrections:
    """Write a record with a change of what it is now, in one atomic step.

    The label map of a case that the change leaves out, or skips, is removed if it is still what
    was recorded; one that was edited stays.

    Args:
        folder: made if it does not exist.
        change: of the record; called while no other process changes it.

    Returns:
        What is recorded now.

    Raises:
        InputError: the record is damaged or of something else; it is untouched.
        OutputError: it cannot be written; what was there is untouched.
    """
    with _changing(folder) as before:
        after = change(before)
        if after != before:
            _write(folder, after)
            for correction in before.cases.values():
                kept = after.cases.get(correction.case)
                if (kept is None or not kept.mask) and state_of(folder, correction) == "recorded":
                    with suppress(OSError):
                        (folder / correction.mask).unlink()
    return after


def save_correction(
    folder: Path,
    make: Callable[[Corrections], Correction],
    write: Callable[[Path], None],
    *,
    seen: str | None = None,
) -> Correction:
    """Record a correction with its label map: both, or nothing that was there has changed.

    Args:
        folder: made if it does not exist.
        make: the correction, but for its ``file``, from what is recorded now; called while no
            other process changes it. What it raises leaves everything as it was.
        write: writes the label map to the path that it is given.
        seen: the SHA-256 of a label map that was edited in another program, and that the person
            who corrects it now has seen; any other one is not written over.

    Returns:
        The correction as it is recorded.

    Raises:
        InputError: the record is damaged or of something else; it is untouched.
        OutputError: it cannot be written, or another file is in its place; nothing has changed.
    """
    with _changing(folder) as before:
        draft = make(before)
        hidden, place = folder / f"{_SAVING}{draft.mask}", folder / draft.mask
        _check_place(folder, draft, before, seen)
        try:
            write(hidden)
            saved = replace(draft, file=replace(KnownFile.of(hidden), name=draft.mask))
            _write(folder, before.with_case(saved))
        except BaseException:
            with suppress(OSError):
                hidden.unlink()
            raise
        # From here on the correction is safe: what is left to do is done by any reader, too.
        try:
            hidden.replace(place)
        except OSError as error:
            raise OutputError(f"{place} cannot be written: {reason_of(error)}") from error
    return saved


def _check_place(folder: Path, draft: Correction, before: Corrections, seen: str | None) -> None:
    """Refuse to write over what is nobody's, another case's, or a person's of another program."""
    place = folder / draft.mask
    for other in before.cases.values():
        # Names that differ in nothing but upper and lower case are one on some systems.
        if other.mask.casefold() == draft.mask.casefold() and other.case != draft.case:
            raise OutputError(f"{place} is the mask of the case {other.case}; rename a case")
    if not place.exists():
        return
    former = before.cases.get(draft.case)
    if former is None or not former.mask:
        raise OutputError(
            f"{place} is there already, and no record says what it is; move it elsewhere, or give "
            f"its folder to mriseg annotate with --labels"
        )
    if state_of(folder, former) == "edited" and sha256(place) != seen:
        raise OutputError(
            f"{place} was edited in another program since it was last looked at; load the case "
            f"again to see that"
        )


def state_of(folder: Path, correction: Correction) -> MaskState:
    """Whether a correction's label map is what was recorded, by its bytes.

    Returns:
        "edited": another program wrote it since; it then counts as that person's. "none": the
        case was skipped.
    """
    if correction.file is None:
        return "none"
    path = folder / correction.mask
    if not path.exists():
        return "missing"
    # Without the folder its bytes are compared: they are few, and corrections are precious.
    known = replace(correction.file, folder="")
    return "recorded" if known.is_still(path) else "edited"


@contextmanager
def _changing(folder: Path) -> Iterator[Corrections]:
    """What is recorded, while no other process changes it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written: {reason_of(error)}") from error
    with waiting(folder / _LOCK):
        before = _read(folder)
        _finish(folder, before)
        yield before


def _unfinished(folder: Path) -> list[Path]:
    """Label maps on their way."""
    try:
        return sorted(folder.glob(f"{_SAVING}*"))
    except OSError:
        return []


def _finish(folder: Path, corrections: Corrections) -> None:
    """Do what a process that was killed left to be done; the lock is held."""
    recorded = {c.mask: c.file for c in corrections.cases.values() if c.file is not None}
    for hidden in _unfinished(folder):
        name = hidden.name.removeprefix(_SAVING)
        file = recorded.get(name)
        with suppress(OSError):  # of a folder that can only be read
            if file is not None and replace(file, folder="").is_still(hidden):
                hidden.replace(folder / name)
            else:
                hidden.unlink()


def _write(folder: Path, corrections: Corrections) -> None:
    document = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "cases": [as_json(correction) for correction in corrections.cases.values()],
        "held_out": list(corrections.held_out),
    }
    write_sealed_json(folder / FILE, document, make_folder=False)


def _read(folder: Path) -> Corrections:
    path = folder / FILE
    data = read_record(
        path,
        FORMAT,
        foreign=(
            "the record of corrections that mriseg annotate would write there; name another folder"
        ),
        error=InputError,
    )
    if data is None:
        return Corrections()
    read = reading(
        {1: _read_version_1},
        data.get("version"),
        what=f"{path} has format",
        remedy="name another folder for the corrections",
        error=InputError,
    )
    try:
        return read(read_sealed_json(path))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is damaged or was edited ({error}); the label maps beside it are whole: give "
            f"them to mriseg annotate with --labels {folder} and another folder with --out"
        ) from None


def _read_version_1(data: Mapping[str, Any]) -> Corrections:
    cases = checked(tuple[Correction, ...], data.get("cases"))
    held_out = checked(tuple[Name, ...], data.get("held_out"))
    table = {correction.case: correction for correction in cases}
    if len(table) < len(cases):
        raise ValueError("a case is listed twice")
    return Corrections(table, held_out)


def _is_plain(name: str) -> bool:
    """Whether a name is that of a file in a folder, and neither a path nor hidden."""
    return not name.startswith(".") and not any(sign in name for sign in "/\\\0:")
