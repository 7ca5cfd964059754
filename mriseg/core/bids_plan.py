"""From the files of a BIDS data set to its sessions, as far as names tell; nothing is opened.

A session is read from its raw images, or where it has none, from those of a derivative. Where a
guess would decide (two runs, two derivatives), it is refused, with rows of a table of cases.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from mriseg.core.bids import BidsName, content_of, read_bids
from mriseg.core.drafts import MAX_LISTED, Row
from mriseg.core.modalities import MODALITIES, SEGMENTATION
from mriseg.core.patients import CaseName
from mriseg.core.scan_files import NamedFile
from mriseg.core.wording import counted

RAW = ""
"""Of files that are in no derivative."""
MOST_LABELS = 7
"""Masks that may overlap and still be one label map of a byte."""

_NOT_ANATOMICAL = frozenset(
    ["func", "dwi", "fmap", "perf", "pet", "meg", "eeg", "ieeg", "emg", "beh", "micr", "nirs"]
) | {"motion", "mrs"}
# Spaces of a subject's own images, whose masks lie on these.
_OWN_SPACES = ("t1w", "t2w", "flair", "orig", "individual", "scanner")


@dataclass(frozen=True)
class BidsFile:
    """An anatomical file and what its name says.

    Attributes:
        file: it.
        name: the parts of its name.
        role: a modality or "seg".
        derivative: the folder below ``derivatives/`` that it is in; `RAW` for none.
    """

    file: NamedFile
    name: BidsName
    role: str
    derivative: str

    @property
    def path(self) -> PurePath:
        """Where it is."""
        return self.file.path

    @property
    def label(self) -> str:
        """What a mask of one label is of; empty where the name does not say it."""
        return self.name.entities.get("label", "")

    @property
    def is_map(self) -> bool:
        """Whether it holds several labels, as a dseg does, and not a mask of one."""
        return self.name.suffix.lower() in ("dseg", "seg")


@dataclass
class Session:
    """What one session of a subject would be read from.

    Attributes:
        name: the case, its patient and the visit.
        images: modality -> file.
        masks: of its segmentation: one, or one for each label.
        notices: what was assumed.
        problem: why names do not tell what it is read from; else empty.
        rows: of a table of cases, that would settle it.
    """

    name: CaseName
    images: dict[str, BidsFile] = field(default_factory=dict)
    masks: tuple[BidsFile, ...] = ()
    notices: list[str] = field(default_factory=list)
    problem: str = ""
    rows: tuple[Row, ...] = ()


@dataclass(frozen=True)
class BidsPlan:
    """What became of all files.

    Attributes:
        sessions: by the names of their cases.
        unused: file -> why it is in no case.
    """

    sessions: tuple[Session, ...]
    unused: Mapping[PurePath, str]


def sort_files(
    files: Iterable[NamedFile], unused: dict[PurePath, str], notices: list[str]
) -> list[BidsFile]:
    """The anatomical files with what their names say; why the others are not used is in ``unused``.

    Args:
        files: with their folders below the data set.
        unused: gets the others.
        notices: gets what was assumed of names.
    """
    sorted_files = []
    for file in sorted(files, key=lambda file: str(file.path)):
        name = read_bids(file.stem)
        if name is None:
            unused[file.path] = "its name begins with no sub-, as names of BIDS do"
            continue
        place, reason = _place(file, name)
        content = None if reason else content_of(name, file.stem)
        if content is None or not content.role:
            unused[file.path] = reason or (content.reason if content else "")
            continue
        if content.notice:
            notices.append(content.notice)
        sorted_files.append(BidsFile(file, name, content.role, place))
    return sorted_files


def _place(file: NamedFile, name: BidsName) -> tuple[str, str]:
    """The derivative that a file is in; and why it cannot be used where it lies."""
    own = next((n for n, part in enumerate(file.folder) if part.startswith("sub-")), None)
    above = file.folder if own is None else file.folder[:own]
    inside = () if own is None else file.folder[own:]
    if "sourcedata" in above:
        return "", "in sourcedata/, which holds what the data set was made of"
    if own is None:
        return "", "in no folder of a subject (sub-)"
    for key in ("sub", "ses"):
        stated = [part.removeprefix(f"{key}-") for part in inside if part.startswith(f"{key}-")]
        if stated and stated[0] != name.entities.get(key):
            return "", f"its name and its folder {key}-{stated[0]} are of two ({key}-)"
    other = sorted(_NOT_ANATOMICAL.intersection(inside))
    if other:
        return "", f"in {other[0]}/, not in anat/"
    if "derivatives" in above:
        return "/".join(above[above.index("derivatives") + 1 :]) or "derivatives", ""
    if above not in ((), ("rawdata",)):
        return "", f"outside of the data set, in {'/'.join(above)}/"
    return RAW, ""


def plan_sessions(
    files: Sequence[BidsFile], predicted: Collection[str], unused: dict[PurePath, str]
) -> tuple[Session, ...]:
    """The sessions, each with one file per modality, and its segmentation.

    Args:
        files: of the data set.
        predicted: derivatives that mriseg made, whose masks are no truth.
        unused: gets what is in none.
    """
    sessions: dict[tuple[str, str], list[BidsFile]] = {}
    for file in files:
        if file.role == SEGMENTATION and file.derivative in predicted:
            unused[file.path] = "a prediction of mriseg; name its folder with --labels to use it"
        else:
            sessions.setdefault(file.name.session, []).append(file)
    planned = []
    for (sub, ses), inside in sorted(sessions.items()):
        masks = [file for file in inside if file.role == SEGMENTATION]
        images = [file for file in inside if file.role != SEGMENTATION]
        if not images:
            unused.update(
                {mask.path: "a segmentation of a session without images" for mask in masks}
            )
            continue
        patient, visit = f"sub-{sub}", f"ses-{ses}" if ses else ""
        session = Session(CaseName("_".join(filter(None, (patient, visit))), patient, visit))
        _choose_images(session, images, unused)
        _choose_masks(session, masks, unused)
        if session.problem:
            why = f"its case {session.name.case} was refused"
            for file in inside:
                unused.setdefault(file.path, why)
        planned.append(session)
    return tuple(planned)


def _choose_images(
    session: Session, images: Sequence[BidsFile], unused: dict[PurePath, str]
) -> None:
    """One file per modality: raw ones, or else those of the only derivative."""
    raw = [file for file in images if file.derivative == RAW]
    derivatives = sorted({file.derivative for file in images} - {RAW})
    if raw:
        for file in images:
            if file.derivative != RAW:
                unused[file.path] = (
                    "an image under derivatives/, and its session has raw ones; give that folder "
                    "itself to use it"
                )
    chosen = raw or list(images)
    by_role = {
        role: _unpacked([f for f in chosen if f.role == role], session.notices, unused)
        for role in MODALITIES
    }
    by_role = {role: inside for role, inside in by_role.items() if inside}
    several = [inside for inside in by_role.values() if len(inside) > 1]
    session.images = {role: inside[0] for role, inside in by_role.items()}
    if not raw and len(derivatives) > 1:
        session.problem = (
            f"its images are in {counted(len(derivatives), 'derivative')} "
            f"({', '.join(derivatives[:MAX_LISTED])}) and none is raw; give the folder of one"
        )
    elif several:
        listed = ", ".join(file.path.name for file in several[0][:MAX_LISTED])
        session.problem = (
            f"{counted(len(several[0]), 'file')} may be its {several[0][0].role} ({listed}); "
            f"expected one"
        )
    if session.problem:
        session.rows = _image_rows(session.name, by_role)


def _image_rows(name: CaseName, by_role: Mapping[str, Sequence[BidsFile]]) -> tuple[Row, ...]:
    """A row for each way in which candidates differ: acq-ax, acq-sag; run-1, run-2."""
    ways = dict.fromkeys(
        (file.derivative, file.name.without("ce"))
        for inside in by_role.values()
        if len(inside) > 1
        for file in inside
    )
    rows: list[Row] = []
    for way in ways:
        files = {
            role: next(
                (f for f in inside if (f.derivative, f.name.without("ce")) == way), inside[0]
            )
            for role, inside in by_role.items()
        }
        number = f"_{len(rows) + 1}" if len(ways) > 1 else ""
        row = Row(name._replace(case=name.case + number), {r: f.path for r, f in files.items()})
        if row.files not in [other.files for other in rows]:
            rows.append(row)
    return tuple(rows)


def _unpacked(
    files: Sequence[BidsFile], notices: list[str], unused: dict[PurePath, str]
) -> list[BidsFile]:
    """The files without those that are there unpacked too."""
    plain = {(f.file.folder, f.file.stem): f for f in files if not f.file.packed}
    kept = []
    for file in files:
        other = plain.get((file.file.folder, file.file.stem))
        if file.file.packed and other is not None:
            unused[file.path] = f"the same as {other.path.name}, packed"
            notices.append(
                f"{file.file.stem} exists both packed and unpacked; {other.path.name} was used"
            )
        else:
            kept.append(file)
    return kept


def _choose_masks(session: Session, masks: Sequence[BidsFile], unused: dict[PurePath, str]) -> None:
    """A label map, or masks of one label each, that lie on the images."""
    spaces = {image.name.space.lower() for image in session.images.values()}
    fitting = []
    for mask in _unpacked(masks, session.notices, unused):
        space = mask.name.space.lower()
        if spaces == {space} or (spaces == {""} and space in _OWN_SPACES):
            fitting.append(mask)
        else:
            where = f"in the space {mask.name.space}" if space else "in the subject's own space"
            unused[mask.path] = f"a segmentation {where}, where its images are not"
    kinds: dict[tuple[str, str], list[BidsFile]] = {}
    for mask in fitting:
        kinds.setdefault((mask.derivative, mask.name.without("label")), []).append(mask)
    if len(kinds) > 1:
        listed = ", ".join(inside[0].path.name for inside in list(kinds.values())[:MAX_LISTED])
        _refuse(session, kinds, f"{len(kinds)} segmentations may be its own ({listed})")
        return
    for inside in kinds.values():
        session.masks = _one_kind(session, inside, unused)


def _one_kind(
    session: Session, masks: Sequence[BidsFile], unused: dict[PurePath, str]
) -> tuple[BidsFile, ...]:
    maps = [mask for mask in masks if mask.is_map]
    if len(maps) == 1:
        for mask in masks:
            if mask is not maps[0]:
                unused[mask.path] = f"its session is labelled by {maps[0].path.name}"
        return (maps[0],)
    labels = [mask.label for mask in masks]
    if len(maps) > 1 or len(set(labels)) < len(labels) or (len(labels) > 1 and "" in labels):
        listed = ", ".join(mask.path.name for mask in masks[:MAX_LISTED])
        _refuse(session, {}, f"{len(masks)} segmentations may be its own ({listed})")
    elif len(labels) > MOST_LABELS:
        _refuse(
            session,
            {},
            f"it has masks of {len(labels)} labels ({', '.join(labels[:MAX_LISTED])}, ...), and at "
            f"most {MOST_LABELS} can be joined",
        )
    return tuple(masks)


def _refuse(
    session: Session, kinds: Mapping[tuple[str, str], Sequence[BidsFile]], problem: str
) -> None:
    """Refuse a session for its segmentations, with a row for each that is a file of its own."""
    if session.problem:
        return
    session.problem = f"{problem}; name a derivative with --labels, or leave one segmentation in it"
    images = {role: file.path for role, file in session.images.items()}
    alone = [inside[0].path for inside in kinds.values() if len(inside) == 1]
    session.rows = tuple(
        Row(
            session.name._replace(case=f"{session.name.case}_{number}"),
            {**images, SEGMENTATION: path},
        )
        for number, path in enumerate(alone, start=1)
    )
