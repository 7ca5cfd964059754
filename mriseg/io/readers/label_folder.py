"""Segmentations from a folder of their own, by the names of the cases (``--labels DIR``).

A correction made elsewhere, or a sister folder: whatever the files beside the scans are, these
count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from mriseg.core.filenames import BRAIN_MASK, read_name, words_of
from mriseg.core.modalities import SEGMENTATION
from mriseg.core.wording import counted
from mriseg.errors import InputError
from mriseg.io import images as containers
from mriseg.io.readers import folders
from mriseg.io.readers.base import Case, Listing, Numbering, RawCase
from mriseg.io.readers.loading import errors_of, with_labels


def with_label_folder(listing: Listing, folder: Path) -> Listing:
    """The cases with the segmentations in ``folder``, and with none but those.

    A file belongs to the case whose name it bears, up to an ending such as ``_seg``, or whose name
    the folder around it bears.

    Raises:
        InputError: there is no such folder, it holds no segmentation, or none is of a case.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder of segmentations")
    unused: dict[Path, str] = {}
    by_case: dict[str, list[Path]] = {}
    names = {_key(name): case.name for case in listing.cases for name in _names(case)}
    for path in _files(folder, unused):
        keys = [_key(key) for key in _keys(path, folder)]
        owner = next((names[key] for key in keys if key in names), None)
        if owner is None:
            unused[path] = "a segmentation of no case"
        else:
            by_case.setdefault(owner, []).append(path)
    if not by_case:
        raise InputError(
            f"no segmentation in {folder} has the name of a case; expected names such as "
            f"{listing.cases[0].name}.nii.gz"
            if listing.cases
            else f"there is no case that {folder} could hold segmentations of"
        )
    cases, skipped = [], list(listing.skipped)
    for case in listing.cases:
        labels = by_case.get(case.name, [])
        if len(labels) > 1:
            listed = ", ".join(path.name for path in labels[:3])
            skipped.append((case.name, f"{counted(len(labels), 'segmentation')} of it: {listed}"))
        else:
            cases.append(_labelled(case, labels[0] if labels else None, listing.numbering))
    return replace(
        listing,
        cases=tuple(cases),
        skipped=tuple(skipped),
        unused={**listing.unused, **unused},
        notices=(*listing.notices, _account(listing, by_case, folder)),
    )


def with_label_files(listing: Listing, files: Mapping[str, Path]) -> Listing:
    """The cases that ``files`` names, each with that segmentation.

    Args:
        listing: of all cases.
        files: case -> its segmentation.

    Raises:
        InputError: there is no such case.
    """
    cases = {case.name: case for case in listing.cases}
    lacking = sorted(files.keys() - cases.keys())
    if lacking:
        reasons = dict(listing.skipped)
        why = "; ".join(f"{name}: {reasons.get(name, 'it is not there')}" for name in lacking[:5])
        raise InputError(
            f"{counted(len(lacking), 'case')} that {'has' if len(lacking) == 1 else 'have'} a "
            f"segmentation cannot be read: {why}"
        )
    labelled = [_labelled(cases[name], files[name], listing.numbering) for name in sorted(files)]
    return replace(listing, cases=tuple(labelled), skipped=())


def _account(listing: Listing, by_case: Mapping[str, list[Path]], folder: Path) -> str:
    without = len(listing.cases) - len(by_case)
    text = f"{counted(len(by_case), 'segmentation')} from {folder}"
    return f"{text}; {counted(without, 'case')} without one" if without else text


def _files(folder: Path, unused: dict[Path, str]) -> list[Path]:
    files = []
    for inside, _, paths in folders.walk(folder, unused):
        for path in filter(containers.is_image, paths):
            names = (containers.stem(path), *(inside.relative_to(folder).parts[-1:]))
            reasons = [read_name(name).reason for name in names]
            if BRAIN_MASK in reasons:
                unused[path] = BRAIN_MASK
            elif "a probability map" in reasons[0]:
                unused[path] = reasons[0]
            else:
                files.append(path)
    return files


def _keys(path: Path, folder: Path) -> list[str]:
    stem = folders.text(containers.stem(path))
    reading = read_name(stem)
    around = path.parent.name if path.parent != folder else ""
    subject = reading.subject if reading.role == SEGMENTATION else ""
    return [key for key in (stem, subject, around) if key]


def _names(case: Case) -> list[str]:
    """What a segmentation of the case may be called: its name, or what its images are called."""
    stems = [
        folders.text(containers.stem(path)) for path in case.files if containers.is_image(path)
    ]
    own = stems if len(stems) == 1 else []
    return [case.name, *own]


def _key(name: str) -> str:
    return "_".join(words_of(name))


def _labelled(case: Case, path: Path | None, numbering: Numbering) -> Case:
    sources = {role: files for role, files in case.sources.items() if role != SEGMENTATION}
    if path is not None:
        sources[SEGMENTATION] = (path,)
    load = partial(_load, case.name, case.load, path, numbering, [*case.files])
    return replace(case, sources=sources, load=load)


def _load(
    name: str,
    load: Callable[[], RawCase],
    path: Path | None,
    numbering: Numbering,
    files: list[Path],
) -> RawCase:
    loaded = replace(load(), labels=None, values={}, renamed={}, regions=None)
    if path is None:
        return loaded
    with errors_of(name):
        stems = [containers.stem(file) for file in (path, *files)]
        return with_labels(name, loaded, path, numbering, stems)
