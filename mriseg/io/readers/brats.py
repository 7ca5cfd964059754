"""BraTS and everything like it: image files named by their modality, at any depth.

What the names say is read by `mriseg.core.filenames`, which files belong together by
`mriseg.core.grouping`, and what the labels of a year mean by `mriseg.core.tumour_labels`. A
segmentation named after lesions ("gold standard" of Lesjak et al. 2017,
doi:10.1007/s12021-017-9348-7; ``wmh``; BIDS's ``label-lesion``) has labels of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mriseg.core.drafts import Row
from mriseg.core.filenames import read_name
from mriseg.core.grouping import Group, Grouping, group_files
from mriseg.core.modalities import SEGMENTATION
from mriseg.core.scan_files import NamedFile
from mriseg.core.tumour_labels import TUMOUR_LABELS, TUMOUR_REGIONS
from mriseg.core.wording import counted
from mriseg.errors import InputError
from mriseg.io import images as containers
from mriseg.io.disk.untrusted import is_regular
from mriseg.io.readers import folders
from mriseg.io.readers.base import Case, Listing, Numbering, RawCase, ReaderOptions
from mriseg.io.readers.bids_folders import is_bids
from mriseg.io.readers.loading import load_files

# Of lesions alone, whose only label is the lesion.
_LESION = re.compile(r"gold[-_ ]?standard|lesion|(?:^|[-_.])wmh(?:$|[-_.])", re.IGNORECASE)


class BratsReader:
    """Folders of modality-named image files, at any depth."""

    name = "brats"
    summary = "image files named by modality (x_t1ce.nii.gz, x_seg.nii.gz), one folder per case"

    def matches(self, root: Path) -> bool:
        """Whether it is no BIDS, and any folder in it holds a file named by its modality."""
        return not is_bids(root) and bool(_grouped(root, ReaderOptions()).groups)

    def find(self, root: Path, options: ReaderOptions) -> Listing:
        """The cases under ``root``, whose files are named by their modalities.

        Raises:
            InputError: there is no case.
            ConfigError: ``options.channels`` is given, which this layout does not need.
        """
        options.refuse_channels(self.name, "its files are named by their modalities")
        grouping = _grouped(root, options)
        if not grouping.groups:
            raise InputError(f"no case in {root}: expected {self.summary}, at any depth")
        segmentations = [
            Path(group.files[SEGMENTATION])
            for group in grouping.groups
            if SEGMENTATION in group.files
        ]
        numbering, regions, labels = label_scheme(segmentations, options)
        cases, skipped, proposals = [], [], {}
        for group in grouping.groups:
            problem = group.problem or _missing_content(group)
            if problem:
                skipped.append((group.name.case, problem))
                if group.problem:
                    proposals[group.name.case] = group.rows or (Row(group.name, group.files),)
            else:
                cases.append(_case(group, numbering))
        unused = {Path(path): reason for path, reason in grouping.unused.items()}
        return Listing(
            tuple(cases),
            regions,
            labels,
            tuple(skipped),
            _mixed(segmentations, options),
            unused=unused,
            proposals=proposals,
            numbering=numbering,
        )


READER = BratsReader()


def label_scheme(
    segmentations: Sequence[Path], options: ReaderOptions
) -> tuple[Numbering, dict[str, tuple[int, ...]], dict[int, str]]:
    """What label values are, and the regions and names that go with them.

    Args:
        segmentations: the files, whose names tell lesions from tumours.
        options: may ask for the values as the files have them.
    """
    if segmentations and all(_LESION.search(path.name) for path in segmentations):
        return "lesion", {"lesion": (1,)}, {1: "lesion"}
    if options.own_labels:
        return "files", {}, {}
    return "tumour", dict(TUMOUR_REGIONS), dict(TUMOUR_LABELS)


def _mixed(segmentations: Sequence[Path], options: ReaderOptions) -> tuple[str, ...]:
    """A notice where some segmentations are named after lesions and others are not."""
    lesions = [path for path in segmentations if _LESION.search(path.name)]
    if options.own_labels or not lesions or len(lesions) == len(segmentations):
        return ()
    return (
        f"{len(lesions)} of {counted(len(segmentations), 'segmentation')} are named after lesions "
        f"({folders.text(lesions[0].name)}) and the others are not; all are read as tumours, whose "
        f"label 1 is in WT",
    )


def _missing_content(group: Group) -> str:
    for role, path in group.files.items():
        if not is_regular(Path(path)):
            return f"its {role}, {folders.text(path.name)}, is a broken link (not fetched yet?)"
    return ""


def _case(group: Group, numbering: Numbering) -> Case:
    files = {role: Path(path) for role, path in group.files.items()}
    return Case(
        name=group.name.case,
        patient=group.name.patient,
        sources={role: (path,) for role, path in files.items()},
        load=partial(_load, group.name.case, files, numbering, group.notices),
        visit=group.name.visit,
        notices=group.notices,
    )


def _load(
    name: str, files: dict[str, Path], numbering: Numbering, notices: tuple[str, ...]
) -> RawCase:
    loaded = load_files(name, files, numbering)
    return replace(loaded, notices=(*notices, *loaded.notices))


def _grouped(root: Path, options: ReaderOptions) -> Grouping:
    whole = root.resolve()
    outer = [folders.text(part) for part in (whole.parent.name, whole.name) if part]
    wanted = options.segmentations and options.labels is None
    return group_files(list(_files(root)), outer, masks=wanted)


def _files(root: Path) -> Iterable[NamedFile]:
    """Every image file under ``root``, and every link that should lead to one."""
    left_out: dict[Path, str] = {}
    for folder, subfolders, files in folders.walk(root, left_out):
        # As unpacked on Kaggle, each x_t1.nii is a folder that contains the file.
        wrappers = [path for path in subfolders if containers.is_image(path)]
        subfolders[:] = [path for path in subfolders if path not in wrappers]
        for path in files:
            if containers.is_image(path):
                yield _named(root, folder, path, path)
        for wrapper in wrappers:
            inside = [file for file in folders.files(wrapper) if containers.is_image(file)]
            says_so = read_name(containers.stem(wrapper)).role is not None
            for file in inside:
                yield _named(root, folder, file, wrapper if says_so else file)
    for path in left_out:
        if containers.is_image(path) and path.is_symlink() and not path.exists():
            yield _named(root, path.parent, path, path)


def _named(root: Path, folder: Path, path: Path, named: Path) -> NamedFile:
    parts = tuple(folders.text(part) for part in folder.relative_to(root).parts)
    packed = path.name.lower().endswith(".gz")
    return NamedFile(path, parts, folders.text(containers.stem(named)), packed)
