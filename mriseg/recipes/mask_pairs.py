"""Mask files beside the truths of their names, each pair on one grid."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mriseg.core import volume
from mriseg.core.filenames import read_name
from mriseg.core.grids import on_one_grid, states_a_place
from mriseg.core.modalities import MODALITIES, SEGMENTATION
from mriseg.core.volume import Geometry
from mriseg.errors import InputError
from mriseg.io import images, readers
from mriseg.io.readers import folders
from mriseg.io.writers.names import ON_SERIES
from mriseg.recipes.bids_pairs import by_session

Labels = NDArray[np.uint8]

_ENDINGS = ("_seg", "-seg", "_mask", "_label", "_gt", "_pred")
# What `predict` writes beside a mask: probability maps, and masks on the grids of other scans.
_BESIDE = ("_prob_", ON_SERIES)
# Voxels that a mask may lie off its truth without a word: headers round.
_ROUNDED = 0.1


@dataclass(frozen=True)
class Pair:
    """A mask and the truth of its name."""

    name: str
    mask: Path
    truth: Path


@dataclass(frozen=True)
class Pairing:
    """Which files are compared, and which are not.

    Attributes:
        pairs: by name.
        masks_alone: names of masks without a truth.
        truths_alone: names of truths without a mask.
    """

    pairs: Mapping[str, Pair]
    masks_alone: tuple[str, ...]
    truths_alone: tuple[str, ...]


@dataclass(frozen=True)
class Placed:
    """A pair's labels on the truth's grid.

    Attributes:
        mask: [z, y, x].
        truth: [z, y, x].
        geometry: the truth's.
        remark: what was unusual about their places, to be said of all such pairs together; empty
            if nothing was.
    """

    mask: Labels
    truth: Labels
    geometry: Geometry
    remark: str


def pair_up(masks: Path, truths: Path) -> Pairing:
    """Pair mask files with truth files.

    A truth goes by its own name, or else by that of its folder, as the case does that `predict`
    names its mask after. Segmentations of BIDS go by subject and session.

    Args:
        masks: a folder of masks, searched with its subfolders.
        truths: a folder of truths, likewise; scans beside them are no truths. Or a table of cases,
            whose segmentations are the truths.

    Raises:
        InputError: no pair is found, or a name has two candidates.
    """
    by_name = _files(masks, "masks")
    wanted = _of_table(truths) if truths.is_file() else _of_folder(truths, by_name.keys())
    by_name, wanted = by_session(by_name, wanted.keys()), by_session(wanted, by_name.keys())
    shared = [name for name in by_name if name in wanted]
    if not shared:
        raise InputError(
            f"no mask under {masks} ({_listed(by_name)}) has the name of a truth under {truths} "
            f"({_listed(wanted)})"
        )
    for name in shared:
        for folder, kind, files in ((masks, "masks", by_name), (truths, "truths", wanted)):
            if len(files[name]) > 1:
                candidates = " and ".join(str(path) for path in files[name])
                raise InputError(f"{folder} holds two {kind} named {name}: {candidates}")
    return Pairing(
        {name: Pair(name, by_name[name][0], wanted[name][0]) for name in shared},
        tuple(sorted(set(by_name) - set(shared))),
        tuple(sorted(set(wanted) - set(shared))),
    )


def _of_folder(truths: Path, names: AbstractSet[str]) -> dict[str, list[Path]]:
    wanted = _files(truths, "truths")
    segmentations = {name: paths for name, paths in wanted.items() if not _is_scan(paths[0])}
    # Unless the truths themselves are named by a modality.
    if names & segmentations.keys():
        wanted = segmentations
    return _by_folder(wanted, truths, names - wanted.keys())


def _of_table(truths: Path) -> dict[str, list[Path]]:
    _, listing = readers.find(truths, "table")
    files = {case.name: list(case.sources[SEGMENTATION]) for case in listing.cases if case.labelled}
    if not files:
        raise InputError(f"{truths} names no segmentation")
    return files


def read_labels(path: Path) -> tuple[Labels, Geometry, tuple[str, ...]]:
    """The labels of a file, in its own axes, where they lie, and what was accepted.

    Raises:
        InputError: it cannot be read, or holds no labels.
    """
    labels, geometry, accepted = images.read_labels(path)
    return labels, geometry, accepted


def stems(path: Path) -> tuple[str, str]:
    """Names that may show which numbering a file's labels have: its own and its folder's."""
    return images.stem(path), path.parent.name


def read_placed(pair: Pair) -> Placed:
    """A pair's labels, the mask's brought onto the truth's grid.

    Where the two lie on one grid in the world, their voxels are matched there, whatever the order
    and direction of their axes. Where one of the two does not say where it lies, arrays of one
    shape are matched voxel by voxel.

    Raises:
        InputError: a file cannot be used, or the two lie on different grids.
    """
    mask, own, of_mask = read_labels(pair.mask)
    truth, grid, of_truth = read_labels(pair.truth)
    matched, remark = _onto(mask, own, grid, pair)
    remark = "; ".join(filter(None, (*of_mask, *of_truth, remark)))
    return Placed(volume.canonical(matched, grid), volume.canonical(truth, grid), grid, remark)


def _onto(mask: Labels, own: Geometry, grid: Geometry, pair: Pair) -> tuple[Labels, str]:
    silent = [kind for kind, of in (("mask", own), ("truth", grid)) if not states_a_place(of)]
    try:
        turn = on_one_grid(own, grid)
    except InputError as error:
        if silent and own.shape == grid.shape:
            return mask, _silent_remark(silent)
        raise InputError(
            f"{pair.mask.name} cannot be compared with {pair.truth.name}: {error}"
        ) from error
    remark = ""
    if not turn.is_none:
        remark = "the mask's axes run otherwise; it was turned onto the truth's grid"
    elif turn.offset > _ROUNDED:
        remark = "it lies up to half a voxel off the truth; voxels were compared by index"
    return turn.apply(mask), remark


def _silent_remark(silent: list[str]) -> str:
    who = f"the {silent[0]} states no place" if len(silent) == 1 else "neither file states a place"
    return (
        f"{who} (its affine is one of ones, or absent); voxels were compared by index, with the "
        f"truth's voxel size"
    )


def _by_folder(
    files: Mapping[str, list[Path]], root: Path, names: Collection[str]
) -> dict[str, list[Path]]:
    """``files`` by name, of which segmentations in a folder of one of ``names`` get that name."""
    renamed: dict[str, list[Path]] = {}
    for own, paths in files.items():
        for path in paths:
            folder = folders.text(path.parent.name)
            is_theirs = folder in names and path.parent != root
            is_theirs = is_theirs and read_name(images.stem(path)).role == SEGMENTATION
            renamed.setdefault(folder if is_theirs else own, []).append(path)
    return renamed


def _is_scan(path: Path) -> bool:
    return read_name(images.stem(path)).role in MODALITIES


def _files(folder: Path, kind: str) -> dict[str, list[Path]]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder of {kind}")
    files: dict[str, list[Path]] = {}
    for _, _, paths in folders.walk(folder):
        for path in paths:
            if images.is_image(path) and not any(part in path.name for part in _BESIDE):
                files.setdefault(_name(path), []).append(path)
    if not files:
        raise InputError(f"{folder} holds no NIfTI file of {kind}")
    return files


def _name(path: Path) -> str:
    name = folders.text(images.stem(path))
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            name = name[: -len(ending)]
    return name


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(list(names)[:3]) + (", ..." if len(names) > 3 else "")
