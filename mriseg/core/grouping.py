"""From files with names to cases: which files belong together, as far as their names tell.

A plan from names alone: nothing is opened. Where a guess would decide (two candidates, two
subjects in one folder), the case is refused, with the rows of a table that would settle it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from mriseg.core.drafts import MAX_LISTED, Draft, Row, agree, join_masks
from mriseg.core.filenames import entities, words_of
from mriseg.core.modalities import MODALITIES, SEGMENTATION
from mriseg.core.patients import CaseName, name_case, patient_of, says_whose
from mriseg.core.scan_files import Folder, Item, NamedFile, read_files
from mriseg.core.wording import counted


@dataclass(frozen=True)
class Group:
    """The files of one case.

    Attributes:
        name: the case, its patient and the visit.
        folder: where its images are.
        files: modality, or "seg" -> file.
        notices: what was assumed.
        problem: why the names do not tell what the case is read from; else empty.
        rows: of the table, that would settle it.
        named: whether the files themselves name the subject.
    """

    name: CaseName
    folder: Folder
    files: Mapping[str, PurePath]
    notices: tuple[str, ...] = ()
    problem: str = ""
    rows: tuple[Row, ...] = ()
    named: bool = False


@dataclass(frozen=True)
class Grouping:
    """What became of all files.

    Attributes:
        groups: the cases.
        unused: file -> why it is in no case.
    """

    groups: tuple[Group, ...]
    unused: Mapping[PurePath, str]


def group_files(
    files: Sequence[NamedFile], outer: Sequence[str], *, masks: bool = True
) -> Grouping:
    """Put the files of each case together.

    Args:
        files: of one folder, at any depth.
        outer: names of the folders that lead to that folder, its own last.
        masks: whether segmentations are wanted.
    """
    unused: dict[PurePath, str] = {}
    items = list(read_files(sorted(files, key=lambda file: str(file.path)), unused))
    if not masks:
        unused |= {
            item.file.path: "a segmentation, which a prediction does not read"
            for item in items
            if item.role == SEGMENTATION
        }
        items = [item for item in items if item.role != SEGMENTATION]
    drafts, loose = _drafts(items, outer, unused)
    drafts = _without_copies(drafts, unused)
    join_masks(drafts, loose, unused)
    groups = [_settled(draft, unused) for draft in drafts]
    return Grouping(tuple(_uniquely_named(groups)), unused)


def _drafts(
    items: Sequence[Item], outer: Sequence[str], unused: dict[PurePath, str]
) -> tuple[list[Draft], list[Item]]:
    """The cases by their images, and the segmentations that lie elsewhere."""
    drafts: list[Draft] = []
    loose: list[Item] = []
    bids: dict[tuple[Folder, str, str], list[Item]] = {}
    folders: dict[Folder, list[Item]] = {}
    for item in items:
        names = entities(item.file.stem)
        if not names:
            folders.setdefault(item.folder, []).append(item)
        elif "derivatives" in item.folder and item.role != SEGMENTATION:
            unused[item.file.path] = (
                "an image under derivatives/; give that folder itself to use it"
            )
        else:
            key = (_data_set(item.folder), names["sub"], names.get("ses", ""))
            bids.setdefault(key, []).append(item)
    for (_, sub, ses), inside in sorted(bids.items()):
        images = [item for item in inside if item.role != SEGMENTATION]
        if not images:
            loose += inside
            continue
        patient, visit = f"sub-{sub}", f"ses-{ses}" if ses else ""
        name = CaseName("_".join(filter(None, (patient, visit))), patient, visit)
        drafts.append(Draft(name, images[0].folder, (), inside, bids=True))
    for folder, inside in sorted(folders.items()):
        made_of = _by_subject(folder, inside, outer)
        drafts += made_of[0]
        loose += made_of[1]
    return drafts, loose


def _data_set(folder: Folder) -> Folder:
    """The root of the BIDS data set that a folder is in."""
    for index, part in enumerate(folder):
        if part.startswith("sub-") or part in ("derivatives", "rawdata", "sourcedata"):
            return folder[:index]
    return folder


def _by_subject(
    folder: Folder, items: Sequence[Item], outer: Sequence[str]
) -> tuple[list[Draft], list[Item]]:
    """The cases in one folder, and the segmentations there that are of none of them."""
    images = [item for item in items if item.role != SEGMENTATION]
    masks = [item for item in items if item.role == SEGMENTATION]
    if not images:
        return [], masks
    subjects = _subjects(images)
    if len(subjects) < 2:
        subject = subjects[0] if subjects else ()
        draft = Draft(_named(folder, outer, images, subject), folder, subject, images)
        return [draft], _take_masks(draft, masks)
    clusters = {
        subject: [item for item in images if item.subject[: len(subject)] == subject]
        for subject in subjects
    }
    drafts = []
    for subject, inside in clusters.items():
        text = _subject_text(inside, subject)
        drafts.append(Draft(CaseName(text, *patient_of(text)), folder, subject, inside))
    nameless = any(not item.subject for item in images)
    own = words_of(folder[-1]) if folder else ()
    of_one = any(own[: len(subject)] == subject for subject in subjects)
    if nameless or of_one or not _tells_apart(clusters):
        return [_refused(folder, outer, drafts, [*images, *masks])], []
    left = list(masks)
    for draft in drafts:
        of_it = [m for m in left if m.subject and m.subject[: len(draft.subject)] == draft.subject]
        draft.items += of_it
        left = [mask for mask in left if mask not in of_it]
    return drafts, left


def _subjects(images: Sequence[Item]) -> list[tuple[str, ...]]:
    """The subjects that files name; one that continues another (pat1, pat1_ax) is the same."""
    subjects: list[tuple[str, ...]] = []
    for words in sorted({item.subject for item in images if item.subject}, key=len):
        if not any(words[: len(known)] == known for known in subjects):
            subjects.append(words)
    return sorted(subjects)


def _tells_apart(clusters: Mapping[tuple[str, ...], Sequence[Item]]) -> bool:
    """Whether subjects in one folder are several cases for certain: each repeats a modality."""
    roles = [{item.role for item in inside} for inside in clusters.values()]
    return all(
        any(mine & other for k, other in enumerate(roles) if k != index)
        for index, mine in enumerate(roles)
    )


def _take_masks(draft: Draft, masks: Sequence[Item]) -> list[Item]:
    """Add to a folder's only case the segmentations beside it, unless they name another subject."""
    left = []
    own = words_of(draft.folder[-1]) if draft.folder else ()
    for mask in masks:
        if agree(mask.subject, draft.subject) or agree(mask.subject, own):
            draft.items.append(mask)
        elif own[: len(draft.subject)] == draft.subject:
            # As in BraTS2020's case 355: the folder is the images' own.
            draft.items.append(mask)
            draft.notices.append(
                f"{mask.file.path.name} names another subject than the images beside it; it was "
                f"taken as their segmentation"
            )
        else:
            left.append(mask)
    if left and not any(item.role == SEGMENTATION for item in draft.items):
        draft.problem = (
            f"files of 2 subjects lie in one folder ({draft.items[0].file.path.name}, "
            f"{left[0].file.path.name}); expected one folder per case"
        )
        draft.items += left
        return []
    return left


def _refused(
    folder: Folder, outer: Sequence[str], drafts: Sequence[Draft], items: Sequence[Item]
) -> Draft:
    names = ", ".join(draft.name.case for draft in drafts[:MAX_LISTED])
    more = ", ..." if len(drafts) > MAX_LISTED else ""
    masks = [item for item in items if item.role == SEGMENTATION]
    rows = []
    for draft in drafts:
        own = [m for m in masks if m.subject and m.subject[: len(draft.subject)] == draft.subject]
        rows.append(Row(draft.name, {item.role: item.file.path for item in (*draft.items, *own)}))
    name = _named(folder, outer, (), ())
    if len({item.role for item in items}) == len(items):
        # As of a patient's series, numbered by the scanner: 3_T1, 4_FLAIR.
        rows.append(Row(name, {item.role: item.file.path for item in items}))
    return Draft(
        name,
        folder,
        (),
        list(items),
        problem=(
            f"files of {counted(len(drafts), 'subject')} ({names}{more}) lie in one folder and may "
            f"be one case or several; expected one folder per case"
        ),
        rows=tuple(rows),
    )


def _named(
    folder: Folder, outer: Sequence[str], images: Sequence[Item], subject: tuple[str, ...]
) -> CaseName:
    return name_case((*outer, *folder), _subject_text(images, subject), len(folder))


def _subject_text(images: Sequence[Item], subject: tuple[str, ...]) -> str:
    """A subject as it is written."""
    texts = sorted(i.reading.subject for i in images if i.subject == subject and subject)
    return texts[0] if texts else ""


def _without_copies(drafts: list[Draft], unused: dict[PurePath, str]) -> list[Draft]:
    """Leave out cases that are copies of others as published sets have them: whole heads, orig/."""
    kept = []
    folders = {draft.folder for draft in drafts}
    for draft in drafts:
        images = [item for item in draft.items if item.role != SEGMENTATION]
        others = [other for other in drafts if other is not draft and _same_case(other, draft)]
        if all(item.reading.copy for item in images) and others:
            reason = f"{images[0].reading.copy}; the case is read from another folder"
        elif draft.folder[-1:] == ("orig",) and (*draft.folder[:-1], "pre") in folders:
            reason = "the scan as acquired; the prepared one in pre/ beside it is read"
        else:
            kept.append(draft)
            continue
        unused.update({item.file.path: reason for item in draft.items})
    return kept


def _same_case(one: Draft, other: Draft) -> bool:
    return one.name.case == other.name.case and not all(item.reading.copy for item in one.items)


def _settled(draft: Draft, unused: dict[PurePath, str]) -> Group:
    """The case with one file per role, or the reason why there is none."""
    files: dict[str, PurePath] = {}
    notices, problem = list(draft.notices), draft.problem
    candidates: dict[str, list[Item]] = {}
    for item in draft.items:
        candidates.setdefault(item.role, []).append(item)
    for role in (*MODALITIES, SEGMENTATION):
        chosen = _chosen(candidates.get(role, []), notices, unused)
        if len(chosen) > 1 and not problem:
            listed = ", ".join(item.file.path.name for item in chosen[:MAX_LISTED])
            problem = (
                f"{counted(len(chosen), 'file')} may be its {role} ({listed}); expected one, with "
                f"each case in its own folder"
            )
        if chosen:
            files[role] = chosen[0].file.path
    if problem:
        for item in draft.items:
            unused.setdefault(item.file.path, f"its case {draft.name.case} was refused")
    rows = draft.rows or (_rows(draft, candidates) if problem else ())
    named = bool(draft.subject) or draft.bids
    return Group(draft.name, draft.folder, files, tuple(notices), problem, rows, named)


def _rows(draft: Draft, candidates: Mapping[str, Sequence[Item]]) -> tuple[Row, ...]:
    """One row for each candidate of the role that has the most."""
    most = max(map(len, candidates.values()))
    rows = []
    for number in range(most):
        files = {
            role: inside[min(number, len(inside) - 1)].file.path
            for role, inside in candidates.items()
        }
        name = (
            draft.name if most == 1 else draft.name._replace(case=f"{draft.name.case}_{number + 1}")
        )
        rows.append(Row(name, files))
    return tuple(rows)


def _chosen(items: Sequence[Item], notices: list[str], unused: dict[PurePath, str]) -> list[Item]:
    """The candidates of a role, without copies where the file itself is there."""
    originals = [item for item in items if not item.reading.copy]
    if originals and len(originals) < len(items):
        for item in items:
            if item.reading.copy:
                used = originals[0].file.path.name
                unused[item.file.path] = f"{item.reading.copy}; {used} is read"
    elif items and not originals:
        notices.append(f"{items[0].file.path.name} is {items[0].reading.copy}")
    chosen = originals or list(items)
    # A file both packed and unpacked counts once; two names that differ only in case are two.
    plain = [item for item in chosen if not item.file.packed]
    stems = {(item.file.folder, item.file.stem.lower()) for item in chosen}
    if len(chosen) == 2 and len(plain) == 1 and len(stems) == 1:
        packed = next(item for item in chosen if item.file.packed)
        notices.append(
            f"{plain[0].role} exists both packed and unpacked; {plain[0].file.path.name} was used"
        )
        unused[packed.file.path] = f"the same as {plain[0].file.path.name}, packed"
        return plain
    return chosen


def _uniquely_named(groups: Sequence[Group]) -> list[Group]:
    """Cases of one name differ by the folders that lead to them."""
    count: dict[str, int] = {}
    for group in groups:
        count[group.name.case] = count.get(group.name.case, 0) + 1
    named: dict[str, Group] = {}
    for group in groups:
        name = group.name
        if count[name.case] > 1:
            outside = [part for part in group.folder[:-1] if says_whose(part, name.case)]
            text = "__".join((*outside, name.case))
            shared = group.named or name.patient != name.case
            name = name._replace(case=text, patient=name.patient if shared else text)
        while name.case in named:
            name = name._replace(case=f"{name.case}_")
        named[name.case] = replace(group, name=name)
    return [named[case] for case in sorted(named)]
