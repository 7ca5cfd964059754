"""How good mask files are against truth files of the same names, made by anything."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core import volume
from mriseg.core.metrics import CaseScores, score_case
from mriseg.core.regions import Regions, region_masks
from mriseg.core.volume import Geometry
from mriseg.errors import InputError
from mriseg.events import Advanced, Began, Notice, Recipe, Skipped
from mriseg.io import nifti
from mriseg.io.readers import folders
from mriseg.recipes.evaluate import EvaluateReport, case_event, reported

Array = NDArray[Any]

_TRUTH_ENDINGS = ("_seg", "-seg", "_mask", "_label", "_gt", "_pred")


def evaluate_masks(
    masks: Path,
    truths: Path,
    *,
    regions: Regions | None = None,
    out: Path | None = None,
    pictures: bool = True,
) -> Recipe[EvaluateReport]:
    """Measure mask files against truth files of the same names.

    Args:
        masks: a folder of NIfTI masks, searched with its subfolders.
        truths: a folder of NIfTI truths. A pair shares its name up to ``.nii`` or ``.nii.gz``; of
            a truth, an ending such as ``_seg`` may come on top.
        regions: name -> label values, on both sides, but that for a single region a mask of 0
            and 1, such as `predict` writes, is taken as it is; None: all that is not 0, as
            "foreground".
        out: as in `evaluate`.
        pictures: also ``dice.png``; there are no scans to show the cases on.

    Raises:
        InputError: no pair is found, or one does not lie on one grid.
    """
    pairs, alone = _pairs(masks, truths)
    wanted = regions or {"foreground": (1,)}
    scores: list[CaseScores] = []
    skipped = [(name, "no truth of its name") for name in alone]
    for name in alone:
        yield Skipped(name, "the mask has no truth of its name")
    yield Began("evaluate", len(pairs), "case")
    for number, (name, (mask_path, truth_path)) in enumerate(pairs.items(), start=1):
        try:
            mask, truth, geometry, same_place = _read_pair(mask_path, truth_path)
        except InputError as error:
            skipped.append((name, str(error)))
            yield Skipped(name, str(error))
            continue
        if not same_place:
            yield Notice(f"{name}: mask and truth have different affines; voxels are compared")
        if regions is None:
            # One region of all labels, whatever they are.
            mask, truth = (array.astype(bool).astype(np.uint8) for array in (mask, truth))
        if len(wanted) == 1 and mask.max() <= 1:
            # A mask of one region is 1 there (`label_map`), whatever its labels are in the truth.
            mask = mask * next(iter(wanted.values()))[0]
        segmented, expected = (region_masks(array, wanted) for array in (mask, truth))
        rows = score_case(name, segmented, expected, tuple(wanted), geometry)
        scores += rows
        yield from (case_event(row) for row in rows)
        yield Advanced("evaluate", number, item=name)
    if not scores:
        raise InputError(f"no mask under {masks} could be measured against {truths}")
    return (yield from reported(scores, (), skipped, out, pictures=pictures))


def _read_pair(mask_path: Path, truth_path: Path) -> tuple[Array, Array, Geometry, bool]:
    """Mask and truth [z, y, x], the mask's geometry, and whether both state the same affine."""
    mask, geometry = nifti.read(mask_path)
    truth, other = nifti.read(truth_path)
    if mask.shape != truth.shape:
        raise InputError(
            f"the mask is {mask.shape} and the truth {truth.shape}; bring both onto one grid"
        )
    mask, truth = (
        volume.canonical(nifti.integer_labels(array), geometry) for array in (mask, truth)
    )
    return mask, truth, geometry, np.allclose(geometry.affine, other.affine, atol=1e-3)


def _pairs(masks: Path, truths: Path) -> tuple[Mapping[str, tuple[Path, Path]], list[str]]:
    by_name, wanted = _files(masks, "masks"), _files(truths, "truths")
    pairs = {name: (path, wanted[name]) for name, path in by_name.items() if name in wanted}
    if not pairs:
        raise InputError(
            f"no mask under {masks} ({', '.join(list(by_name)[:3])}, ...) has the name of a truth "
            f"under {truths} ({', '.join(list(wanted)[:3])}, ...)"
        )
    return pairs, sorted(set(by_name) - set(pairs))


def _files(folder: Path, kind: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder of {kind}")
    files: dict[str, Path] = {}
    for path in sorted(p for p in folder.rglob("*.nii*") if p.is_file() and nifti.is_nifti(p)):
        if "_prob_" in path.name:
            continue
        name = folders.text(nifti.stem(path))
        for ending in _TRUTH_ENDINGS:
            name = name.removesuffix(ending)
        if name in files:
            raise InputError(f"{folder} holds two {kind} named {name}: {files[name]} and {path}")
        files[name] = path
    if not files:
        raise InputError(f"{folder} holds no NIfTI file")
    return files
