"""BraTS and similar layouts: one folder per case, with one NIfTI file per modality.

The canonical labels are those of BraTS 2015, the only scheme that distinguishes all tissues,
followed by the resection cavity of 2024. The labels by year:

==================  =========  ====  =========  ====  ====
tissue              canonical  2015  2017-2021  2023  2024
==================  =========  ====  =========  ====  ====
necrosis            1          1     1          1     1
oedema              2          2     2          2     2
non-enhancing       3          3     in 1       in 1  in 1
enhancing           4          4     4          3     3
resection cavity    5          -     -          -     4
==================  =========  ====  =========  ====  ====

A segmentation named "gold standard" is of MS lesions (Lesjak et al. 2017,
doi:10.1007/s12021-017-9348-7); its only label is the lesion.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mriseg.core.modalities import MODALITIES, SEGMENTATION, role, split_role
from mriseg.errors import InputError
from mriseg.io import images as containers
from mriseg.io.readers import folders
from mriseg.io.readers.base import Case, Listing, RawCase, ReaderOptions
from mriseg.io.readers.loading import load_files

TUMOUR_REGIONS = {"WT": (1, 2, 3, 4), "TC": (1, 3, 4), "ET": (4,)}
TUMOUR_LABELS = {
    1: "necrosis",
    2: "oedema",
    3: "non-enhancing tumour",
    4: "enhancing tumour",
    5: "resection cavity",
}

# BraTS-GLI-00000-000, since 2023: challenge, patient, time point.
_MODERN_NAME = re.compile(r"(BraTS-(?:[A-Z]+-)+\d+)-\d+", re.IGNORECASE)
# Only these two modality names are new in 2023 and not used elsewhere.
_MODERN_MODALITY = re.compile(r"[-_.](t1n|t2f)$", re.IGNORECASE)
# Paediatric labels 3 and 4 changed meaning from 2023 to 2024; the values do not show the year.
_PAEDIATRIC = re.compile(r"BraTS-PED-", re.IGNORECASE)
# Names of the years in which label 3 was the non-enhancing tumour.
_OLD_NAME = re.compile(r"^VSD\.|brats_(?:2013|tcia)_pat", re.IGNORECASE)
# Brats17_TCIA_105_1, Brats18_TCIA08_105_1: year, site, patient, time point; brats_tcia_pat105_0001.
_SITE_NAME = re.compile(
    r"brats\d\d_(?!training|validation)(2013|[a-z]+)\d*_(\w+?)_\d+", re.IGNORECASE
)
_TCIA_2015 = re.compile(r"brats_tcia_pat(\d+)_\d+", re.IGNORECASE)
_PAT_2013 = re.compile(r"(brats_2013_pat\d+)_\d+", re.IGNORECASE)
_GOLD_STANDARD = re.compile(r"gold[-_ ]?standard", re.IGNORECASE)


@dataclass(frozen=True)
class _Folder:
    """The files of one case, by role."""

    path: Path
    roles: Mapping[str, Path]
    notices: tuple[str, ...] = ()
    problem: str = ""

    @property
    def lesions(self) -> bool:
        """Whether the segmentation is of MS lesions."""
        seg = self.roles.get(SEGMENTATION)
        return seg is not None and _GOLD_STANDARD.search(seg.name) is not None


class BratsReader:
    """Folders of modality-named NIfTI files, at any depth."""

    name = "brats"
    summary = "one folder per case with NIfTI files named by modality (x_t1ce.nii.gz, x_seg.nii.gz)"

    def matches(self, root: Path) -> bool:
        """Whether any folder under ``root`` holds a file named by its modality."""
        return any(_has_modality(_folder(*entry)) for entry in _walk(root))

    def find(self, root: Path, options: ReaderOptions) -> Listing:
        """The cases under ``root``, whose files are named by their modalities.

        Raises:
            InputError: there is no case.
            ConfigError: ``options.channels`` is given, which this layout does not need.
        """
        options.refuse_channels(self.name, "its files are named by their modalities")
        case_folders = [
            folder for folder in (_folder(*entry) for entry in _walk(root)) if _has_modality(folder)
        ]
        if not case_folders:
            raise InputError(
                f"no case in {root}: expected {self.summary}, at any depth "
                f"(links that lead out of the folder are not followed)"
            )
        names = folders.unique_names(root, [folder.path for folder in case_folders])
        cases, skipped = [], []
        for folder in case_folders:
            name = names[folder.path]
            if folder.problem:
                skipped.append((name, folder.problem))
            else:
                cases.append(_case(name, folder))
        cases.sort(key=lambda case: case.name)
        segmented = [folder for folder in case_folders if SEGMENTATION in folder.roles]
        if segmented and all(folder.lesions for folder in segmented):
            return Listing(tuple(cases), {"lesion": (1,)}, {1: "lesion"}, tuple(skipped))
        return Listing(tuple(cases), TUMOUR_REGIONS, TUMOUR_LABELS, tuple(skipped))


READER = BratsReader()


def patient(name: str) -> str:
    """The patient that a case belongs to, as far as its name shows.

    The year and the time point are removed from names in one of the patterns of BraTS, so that the
    same patient in two years, or at two time points, is one patient. Two patients whose names
    cannot be distinguished count as one: that hardly affects a split, while a leak would.
    """
    if match := _MODERN_NAME.fullmatch(name):
        return match[1]
    if match := _SITE_NAME.fullmatch(name):
        return f"{match[1]}_{match[2]}".upper()
    if match := _TCIA_2015.fullmatch(name):
        return f"TCIA_{match[1]}"
    if match := _PAT_2013.fullmatch(name):
        return match[1]
    return name


def canonical_labels(
    labels: NDArray[np.uint8], name: str, stems: Iterable[str] = ()
) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """BraTS labels of any year, converted to the canonical ones of this module.

    Args:
        labels: [i, j, k], as in the file.
        name: the case's name, which shows the year where the labels do not.
        stems: the stems of the case's files, which may show it too.

    Returns:
        The labels, and a notice if an assumption was made.
    """
    stems = tuple(stems)
    values = {value for value in (3, 4, 5) if (labels == value).any()}
    if not values & {3, 4} or values & {5}:
        return labels, ()
    if labels.max() > 5:
        return labels, ("the segmentation's labels fit no BraTS year and were kept",)
    if any(_PAEDIATRIC.match(text) for text in (name, *stems)):
        return labels, (
            "paediatric labels 3 and 4 differ in meaning between 2023 and 2024; they were kept",
        )

    modern_name = any(_MODERN_NAME.match(text) for text in (name, *stems))
    if modern_name or any(_MODERN_MODALITY.search(stem) for stem in stems):
        if 3 in values:
            return _renamed(labels, {3: 4, 4: 5}), ()
        if modern_name:
            return _renamed(labels, {4: 5}), (
                "label 4 was taken as the resection cavity, as in BraTS 2024; there is no label 3",
            )
        return labels, ()
    if 4 in values or any(_OLD_NAME.search(text) for text in (name, *stems)):
        return labels, ()
    return _renamed(labels, {3: 4}), (
        "label 3 was taken as the enhancing tumour, as in BraTS 2023; there is no label 4",
    )


def _renamed(labels: NDArray[np.uint8], new: Mapping[int, int]) -> NDArray[np.uint8]:
    renamed = labels.copy(order="K")
    for old, value in new.items():
        np.copyto(renamed, np.uint8(value), where=labels == old)
    return renamed


def _walk(root: Path) -> Iterable[tuple[Path, list[Path]]]:
    """Every folder under ``root``, with its NIfTI files and the folders that are named like one."""
    for folder, subfolders, files in folders.walk(root):
        # As unpacked on Kaggle, each x_t1.nii is a folder that contains the file.
        wrappers = [path for path in subfolders if containers.is_image(path)]
        subfolders[:] = [path for path in subfolders if path not in wrappers]
        yield folder, [*wrappers, *(path for path in files if containers.is_image(path))]


def _has_modality(folder: _Folder) -> bool:
    return any(name in folder.roles for name in MODALITIES)


def _folder(path: Path, entries: list[Path]) -> _Folder:
    candidates: dict[str, list[Path]] = {}
    for entry in entries:
        files = [entry]
        if entry.is_dir():
            files = [file for file in folders.files(entry) if containers.is_image(file)]
        for file in files:
            name = role(containers.stem(entry)) or role(containers.stem(file))
            if name is not None:
                candidates.setdefault(name, []).append(file)

    roles, notices, problem = {}, [], ""
    for name in (*MODALITIES, SEGMENTATION):
        files = candidates.get(name, [])
        if not files:
            continue
        # A file both packed and unpacked counts once; two names that differ only in case are two.
        plain = [file for file in files if not file.name.lower().endswith(".gz")]
        stems = {containers.stem(file).lower() for file in files}
        if len(stems) > 1 or max(len(plain), len(files) - len(plain)) > 1:
            listed = ", ".join(folders.text(file.name) for file in files[:3])
            problem = (
                f"it holds {len(files)} files of {name} ({listed}); expected one, with each case "
                f"in its own folder"
            )
        elif len(files) > 1:
            notices.append(f"{name} exists both packed and unpacked; {plain[0].name} was used")
        roles[name] = (plain or files)[0]
    return _Folder(path, roles, tuple(notices), problem)


def _case(name: str, folder: _Folder) -> Case:
    return Case(
        name=name,
        patient=patient(_subject(folder) or name),
        sources={key: (path,) for key, path in folder.roles.items()},
        load=partial(_load, name, folder),
    )


def _subject(folder: _Folder) -> str:
    """The name that all images share, if the folder's name begins with it.

    ``BraTS20_Training_010_slice_2/BraTS20_Training_010_t1.nii.gz`` gives
    ``BraTS20_Training_010``; ``session_1/brain_t1.nii.gz`` names no subject.
    """
    images = [path for key, path in folder.roles.items() if key != SEGMENTATION]
    subjects = {folders.text(split_role(containers.stem(path))[1]) for path in images}
    own = folders.text(folder.path.resolve().name)
    subject = subjects.pop() if len(subjects) == 1 else ""
    return subject if own.lower().startswith(subject.lower()) else ""


def _load(name: str, folder: _Folder) -> RawCase:
    loaded = load_files(name, folder.roles)
    labels, notices = loaded.labels, (*folder.notices, *loaded.notices)
    if labels is not None and not folder.lesions:
        stems = [containers.stem(path) for path in folder.roles.values()]
        labels, assumptions = canonical_labels(labels, name, stems)
        notices += assumptions
    return RawCase(loaded.images, labels, loaded.geometry, notices)
