"""BraTS and what is laid out like it: a folder a case, a NIfTI file a modality.

The canonical labels are those of BraTS 2015, the only scheme that tells all tissues apart, and the
resection cavity of 2024 after them. What the years called them:

==================  =========  ====  =========  ====  ====
tissue              canonical  2015  2017-2021  2023  2024
==================  =========  ====  =========  ====  ====
necrosis            1          1     1          1     1
oedema              2          2     2          2     2
non-enhancing       3          3     in 1       in 1  in 1
enhancing           4          4     4          3     3
resection cavity    5          -     -          -     4
==================  =========  ====  =========  ====  ====

Folders that name their segmentation a gold standard are MS lesions (Lesjak et al. 2017,
doi:10.1007/s12021-017-9348-7), whose one label is the lesion.
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
from mriseg.io import nifti
from mriseg.io.readers import folders
from mriseg.io.readers.base import Array, Case, Listing, RawCase, ReaderOptions
from mriseg.io.readers.loading import errors_of, onto_grid

TUMOUR_REGIONS = {"WT": (1, 2, 3, 4), "TC": (1, 3, 4), "ET": (4,)}
TUMOUR_LABELS = {
    1: "necrosis",
    2: "oedema",
    3: "non-enhancing tumour",
    4: "enhancing tumour",
    5: "resection cavity",
}

# BraTS-GLI-00000-000, from 2023 on: challenge, patient, time point.
_MODERN_NAME = re.compile(r"(BraTS-(?:[A-Z]+-)+\d+)-\d+", re.IGNORECASE)
# Only these two modality names are new in 2023 and used by nobody else.
_MODERN_MODALITY = re.compile(r"[-_.](t1n|t2f)$", re.IGNORECASE)
# Paediatric labels 3 and 4 changed their meaning from 2023 to 2024; the values do not tell.
_PAEDIATRIC = re.compile(r"BraTS-PED-", re.IGNORECASE)
# Names of the years in which 3 was the non-enhancing tumour.
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
    summary = "a folder a case with NIfTI files named by modality (x_t1ce.nii.gz, x_seg.nii.gz)"

    def matches(self, root: Path) -> bool:
        """Whether any folder under ``root`` holds a file named by its modality."""
        return any(_has_modality(_folder(*entry)) for entry in _walk(root))

    def find(self, root: Path, options: ReaderOptions) -> Listing:
        """The cases under ``root``, whose files are named by their modalities.

        Raises:
            InputError: there is none.
            ConfigError: ``options.channels`` names them otherwise.
        """
        options.refuse_channels(self.name, "its files are named by their modalities")
        found = [
            folder for folder in (_folder(*entry) for entry in _walk(root)) if _has_modality(folder)
        ]
        if not found:
            raise InputError(
                f"no case in {root}: expected {self.summary}, at any depth "
                f"(links that lead out of the folder are not followed)"
            )
        names = folders.unique_names(root, [folder.path for folder in found])
        cases, skipped = [], []
        for folder in found:
            name = names[folder.path]
            if folder.problem:
                skipped.append((name, folder.problem))
            else:
                cases.append(_case(name, folder))
        cases.sort(key=lambda case: case.name)
        segmented = [folder for folder in found if SEGMENTATION in folder.roles]
        if segmented and all(folder.lesions for folder in segmented):
            return Listing(tuple(cases), {"lesion": (1,)}, {1: "lesion"}, tuple(skipped))
        return Listing(tuple(cases), TUMOUR_REGIONS, TUMOUR_LABELS, tuple(skipped))


READER = BratsReader()


def patient(name: str) -> str:
    """The patient that a case belongs to, as far as its name shows it.

    The year and the time point are dropped where a name follows one of BraTS's patterns, so that
    the same patient of two years, or of two time points, is one patient. Where two different
    patients cannot be told apart they count as one: that costs a split little, a leak costs more.
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
    """BraTS labels of any year as this module's canonical ones.

    Args:
        labels: [i, j, k], as the file has them.
        name: the case's name; it tells the year where the labels do not.
        stems: those of the case's files, which tell it too.

    Returns:
        The labels, and a notice where an assumption was made.
    """
    stems = tuple(stems)
    values = {value for value in (3, 4, 5) if (labels == value).any()}
    if not values & {3, 4} or values & {5}:
        return labels, ()
    if labels.max() > 5:
        return labels, ("the segmentation's labels are of no BraTS year and were kept",)
    if any(_PAEDIATRIC.match(text) for text in (name, *stems)):
        return labels, ("paediatric labels 3 and 4 mean other things in 2023 and 2024; kept",)

    modern_name = any(_MODERN_NAME.match(text) for text in (name, *stems))
    if modern_name or any(_MODERN_MODALITY.search(stem) for stem in stems):
        if 3 in values:
            return _renamed(labels, {3: 4, 4: 5}), ()
        if modern_name:
            return _renamed(labels, {4: 5}), (
                "label 4 is taken as the resection cavity, as in BraTS 2024; there is no label 3",
            )
        return labels, ()
    if 4 in values or any(_OLD_NAME.search(text) for text in (name, *stems)):
        return labels, ()
    return _renamed(labels, {3: 4}), (
        "label 3 is taken as the enhancing tumour, as in BraTS 2023; there is no label 4",
    )


def _renamed(labels: NDArray[np.uint8], new: Mapping[int, int]) -> NDArray[np.uint8]:
    renamed = labels.copy(order="K")
    for old, value in new.items():
        np.copyto(renamed, np.uint8(value), where=labels == old)
    return renamed


def _walk(root: Path) -> Iterable[tuple[Path, list[Path]]]:
    """Every folder under ``root``, with its NIfTI files and folders named as such."""
    for here, inner, found in folders.walk(root):
        # Unpacked on Kaggle, each x_t1.nii is a folder that holds the file.
        boxes = [path for path in inner if nifti.is_nifti(path)]
        inner[:] = [path for path in inner if path not in boxes]
        yield here, [*boxes, *(path for path in found if nifti.is_nifti(path))]


def _has_modality(folder: _Folder) -> bool:
    return any(name in folder.roles for name in MODALITIES)


def _folder(path: Path, entries: list[Path]) -> _Folder:
    candidates: dict[str, list[Path]] = {}
    for entry in entries:
        files = [entry]
        if entry.is_dir():
            files = [file for file in folders.files(entry) if nifti.is_nifti(file)]
        for file in files:
            found = role(nifti.stem(entry)) or role(nifti.stem(file))
            if found is not None:
                candidates.setdefault(found, []).append(file)

    roles, notices, problem = {}, [], ""
    for name in (*MODALITIES, SEGMENTATION):
        files = candidates.get(name, [])
        if not files:
            continue
        # One file both packed and unpacked is one file; two that differ in case alone are two.
        plain = [file for file in files if not file.name.lower().endswith(".gz")]
        stems = {nifti.stem(file).lower() for file in files}
        if len(stems) > 1 or max(len(plain), len(files) - len(plain)) > 1:
            listed = ", ".join(folders.text(file.name) for file in files[:3])
            problem = (
                f"it holds {len(files)} files of {name} ({listed}); expected one, "
                f"each case in a folder of its own"
            )
        elif len(files) > 1:
            notices.append(f"{name} is there both packed and unpacked; {plain[0].name} was taken")
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
    """What all images are named after, if the folder is too, be it with an addition.

    ``BraTS20_Training_010_slice_2/BraTS20_Training_010_t1.nii.gz`` gives
    ``BraTS20_Training_010``; ``session_1/brain_t1.nii.gz`` names nobody.
    """
    images = [path for key, path in folder.roles.items() if key != SEGMENTATION]
    subjects = {folders.text(split_role(nifti.stem(path))[1]) for path in images}
    own = folders.text(folder.path.resolve().name)
    subject = subjects.pop() if len(subjects) == 1 else ""
    return subject if own.lower().startswith(subject.lower()) else ""


def _load(name: str, folder: _Folder) -> RawCase:
    images: dict[str, Array] = {}
    notices = list(folder.notices)
    labels = grid = None
    with errors_of(name):
        for key, path in folder.roles.items():
            array, own = nifti.read(path)
            grid = grid or own
            if key == SEGMENTATION:
                array = nifti.integer_labels(array)
            array, odd = onto_grid(array, own, grid, path.name)
            notices += odd
            if key == SEGMENTATION:
                labels = array
            else:
                images[key] = array
    assert grid is not None, "a case has at least one modality"
    if labels is not None and not folder.lesions:
        stems = [nifti.stem(path) for path in folder.roles.values()]
        labels, odd = canonical_labels(labels, name, stems)
        notices += odd
    return RawCase(images, labels, grid, tuple(notices))
