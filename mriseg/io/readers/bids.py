"""BIDS: sub-01/[ses-2/]anat/sub-01_T1w.nii.gz, and segmentations in derivatives/.

Which file is what is planned by `mriseg.core.bids_plan` from names alone; what segmentations hold,
`mriseg.io.readers.bids_masks` finds out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath

from mriseg.core.bids import content_of, read_bids
from mriseg.core.bids_plan import BidsFile, Session, plan_sessions, sort_files
from mriseg.core.drafts import Row
from mriseg.core.modalities import SEGMENTATION
from mriseg.core.wording import counted
from mriseg.errors import InputError
from mriseg.io.disk.untrusted import is_regular, read_text
from mriseg.io.readers import folders
from mriseg.io.readers.base import Case, Listing, ReaderOptions
from mriseg.io.readers.bids_folders import above, is_bids, is_made_by_mriseg, named_files
from mriseg.io.readers.bids_masks import MaskScheme, account_of, load_session, scheme_of

_PARTICIPANTS = "participants.tsv"
# Participants in a notice.
_MAX_LISTED = 5


class BidsReader:
    """A BIDS data set, raw or a derivative, or a subject's folder in one."""

    name = "bids"
    summary = "BIDS (sub-01/anat/sub-01_T1w.nii.gz), masks in derivatives/"

    def matches(self, root: Path) -> bool:
        """Whether there is a subject's folder with an image in ``anat/`` that BIDS names.

        ``root`` may be the data set, the folder around ``rawdata/``, a subject or a session.
        """
        return is_bids(root)

    def find(self, root: Path, options: ReaderOptions) -> Listing:
        """The sessions of all subjects.

        ``options.labels`` is the derivative whose segmentations count, inside or outside of the
        data set; without it, that is the only one that has any which mriseg did not make.

        Raises:
            InputError: there is no session with an image; segmentations are in several derivatives,
                or it is not clear what their labels mean.
            ConfigError: ``options.channels`` is given, which this layout does not need.
        """
        options.refuse_channels(self.name, "its files are named by their modalities")
        left_out: dict[Path, str] = {}
        notices: list[str] = []
        unused: dict[PurePath, str] = {}
        files = sort_files(named_files(root, above(root), left_out), unused, notices)
        predicted = _made_here(root, files) if options.labels is None else set()
        files = _with_masks(root, files, predicted, options, unused, notices)
        sessions = plan_sessions(files, predicted, unused)
        if not sessions:
            raise InputError(f"no case in {root}: expected {self.summary}")
        _refuse_strangers(sessions, options)
        usable = [s for s in sessions if not s.problem and not _missing_content(s)]
        scheme = scheme_of(usable, options)
        cases = [_case(session, scheme) for session in usable]
        skipped = [
            (session.name.case, session.problem or _missing_content(session))
            for session in sessions
            if session not in usable
        ]
        said = (*notices, *account_of(usable), *scheme.notices, *_absent(root, sessions))
        return Listing(
            tuple(cases),
            scheme.regions,
            scheme.labels,
            tuple(skipped),
            said,
            unused={Path(path): why for path, why in unused.items()},
            proposals={s.name.case: _rows(s) for s in sessions if s.problem},
            numbering=scheme.numbering,
        )


READER = BidsReader()


def has_masks(folder: Path) -> bool:
    """Whether a folder holds segmentations in folders of subjects, as ``--labels`` may give one."""
    return any(
        any(part.startswith("sub-") for part in file.folder)
        and (name := read_bids(file.stem)) is not None
        and content_of(name, file.stem).role == SEGMENTATION
        for file in named_files(folder, above(folder), {})
    )


def _with_masks(
    root: Path,
    files: Sequence[BidsFile],
    predicted: set[str],
    options: ReaderOptions,
    unused: dict[PurePath, str],
    notices: list[str],
) -> list[BidsFile]:
    """The files, of whose segmentations those are left that are wanted.

    Args:
        root: of the data set.
        files: of it.
        predicted: derivatives that mriseg made.
        options: which segmentations are wanted.
        unused: gets the others.
        notices: gets what was assumed of names.

    Raises:
        InputError: those of several derivatives are.
    """
    images = [file for file in files if file.role != SEGMENTATION]
    masks = [file for file in files if file.role == SEGMENTATION]
    folder = options.labels
    if not options.segmentations:
        unused.update({f.path: "a segmentation, which a prediction does not read" for f in masks})
        return images
    if isinstance(folder, Mapping):
        unused.update({f.path: "segmentations are given for each case" for f in masks})
        return images
    if folder is None:
        return [*images, *_of_one(root, masks, predicted)]
    inside = folder.resolve()
    unused.update(
        {
            f.path: f"a segmentation outside of {folder}, which was named"
            for f in masks
            if not Path(f.path).resolve().is_relative_to(inside)
        }
    )
    if not has_masks(folder):
        return images
    aside: dict[PurePath, str] = {}
    place = folders.text(folder.name)
    named = [
        replace(file, derivative=place)
        for file in sort_files(named_files(folder, above(folder), {}), aside, notices)
        if file.role == SEGMENTATION
    ]
    if not inside.is_relative_to(root.resolve()):
        unused.update(aside)
    within = {Path(file.path).resolve(): file.path for file in files}
    for file in named:
        # The data set's own path to it, under which it is accounted for.
        path = within.get(Path(file.path).resolve(), file.path)
        unused.pop(path, None)
        images.append(replace(file, file=replace(file.file, path=path)))
    return images


def _of_one(root: Path, masks: Sequence[BidsFile], predicted: set[str]) -> list[BidsFile]:
    """All masks, if those that mriseg did not make are in one derivative."""
    places = {mask.derivative for mask in masks} - predicted
    if len(places) > 1:
        listed = ", ".join(f"derivatives/{place}" if place else "anat/" for place in sorted(places))
        first = next(place for place in sorted(places) if place)
        folder = root / "derivatives" / first
        raise InputError(
            f"segmentations are in {len(places)} places ({listed}); name the folder of those that "
            f"count, as in: mriseg preprocess {root} OUT.zarr --labels {folder}"
        )
    return list(masks)


def _made_here(root: Path, files: Iterable[BidsFile]) -> set[str]:
    """The derivatives that mriseg made."""
    places = {file.derivative for file in files if file.derivative}
    return {
        place
        for place in places
        if is_made_by_mriseg(root / "derivatives" / place)
        or (place == "derivatives" and is_made_by_mriseg(root / "derivatives"))
    }


def _refuse_strangers(sessions: Sequence[Session], options: ReaderOptions) -> None:
    """Refuse a folder of segmentations that none of the sessions has one in."""
    folder = options.labels
    if not isinstance(folder, Path) or not has_masks(folder):
        return
    if not any(session.masks or session.problem for session in sessions):
        raise InputError(
            f"no segmentation in {folder} is of a session here; expected names such as "
            f"{sessions[0].name.case}_label-lesion_mask.nii.gz, in folders as the images have them"
        )


def _case(session: Session, scheme: MaskScheme) -> Case:
    images = {role: Path(file.path) for role, file in session.images.items()}
    masks = [(mask.label, Path(mask.path)) for mask in session.masks]
    sources: dict[str, tuple[Path, ...]] = {role: (path,) for role, path in images.items()}
    if masks:
        sources[SEGMENTATION] = tuple(path for _, path in masks)
    name, notices = session.name, tuple(session.notices)
    return Case(
        name=name.case,
        patient=name.patient,
        sources=sources,
        load=partial(load_session, name.case, images, masks, scheme, notices),
        visit=name.visit,
        notices=notices,
    )


def _rows(session: Session) -> tuple[Row, ...]:
    files: dict[str, PurePath] = {role: file.path for role, file in session.images.items()}
    return session.rows or (Row(session.name, files),)


def _missing_content(session: Session) -> str:
    for file in (*session.images.values(), *session.masks):
        if not is_regular(Path(file.path)):
            return (
                f"its {file.role}, {folders.text(file.path.name)}, is a broken link (not fetched "
                f"yet?)"
            )
    return ""


def _absent(root: Path, sessions: Sequence[Session]) -> tuple[str, ...]:
    """A notice about participants that the data set lists and has no image of."""
    table = root / _PARTICIPANTS
    if not table.is_file():
        return ()
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(table)), delimiter="\t"))
    except (OSError, ValueError, csv.Error):
        return (f"{_PARTICIPANTS} cannot be read; it is not needed",)
    listed = dict.fromkeys((row.get("participant_id") or "").strip() for row in rows)
    known = {session.name.patient for session in sessions}
    absent = [name for name in listed if name and name not in known]
    if not absent:
        return ()
    shown = ", ".join(absent[:_MAX_LISTED]) + (", ..." if len(absent) > _MAX_LISTED else "")
    return (
        f"{counted(len(absent), 'participant')} of {_PARTICIPANTS} without an image that can be "
        f"used: {shown}",
    )
