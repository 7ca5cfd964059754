"""How good mask files are against truth files of the same names, made by anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mriseg.core.metrics import CaseScores, score_case
from mriseg.core.regions import region_masks
from mriseg.core.surface import TOLERANCE
from mriseg.core.wording import agreeing, counted
from mriseg.errors import InputError
from mriseg.events import Advanced, Began, Notice, Recipe, Skipped
from mriseg.recipes.evaluate_page import page_written
from mriseg.recipes.mask_labels import FileLabels, LabelPlan, Wanted, plan_labels
from mriseg.recipes.mask_pairs import Pair, Pairing, pair_up, read_labels, read_placed, stems
from mriseg.recipes.scores import EvaluateReport, case_event, reported

# Names that a notice lists.
_LISTED = 5


def evaluate_masks(
    masks: Path,
    truths: Path,
    *,
    regions: str | Mapping[str, tuple[int, ...]] | None = None,
    tolerance: float = TOLERANCE,
    out: Path | None = None,
    pictures: bool = True,
) -> Recipe[EvaluateReport]:
    """Measure mask files against truth files of the same names.

    Masks are brought onto the grids of their truths, in the world; lengths and volumes are those of
    the truths.

    Args:
        masks: a folder of masks, searched with its subfolders.
        truths: a folder of truths. A pair shares its name up to the format's ending; an ending such
            as ``_seg`` may come on top.
        regions: "WT,ET" for tissues of BraTS, whichever numbers a year gave them;
            "WT=1+2+4,ET=4", or name -> label values, for the files' own numbers on both sides.
            For a single region, masks of 0 and 1, such as `predict` writes, are taken as they are.
            None: all that is not 0, as "foreground".
        tolerance: of the normalised surface Dice, in mm, or in voxels where a truth has no size.
        out: as in `evaluate`.
        pictures: also ``dice.png``; there are no scans to show the cases on.

    Raises:
        InputError: no pair is found or can be measured, or a name has two candidates.
        ConfigError: ``regions`` cannot be read, or the truths' labels are evidently others.
    """
    wanted = Wanted.of(regions)
    pairing = pair_up(masks, truths)
    notices: list[str] = []
    skipped = [(name, "no truth of its name") for name in pairing.masks_alone]
    for name in pairing.masks_alone:
        yield Skipped(name, "the mask has no truth of its name")
    if pairing.truths_alone:
        notices.append(_unpaired(pairing))
    plan = yield from _planned(pairing, wanted, skipped)
    notices += plan.notices
    for text in notices:
        yield Notice(text)
    scores: list[CaseScores] = []
    remarks: defaultdict[str, list[str]] = defaultdict(list)
    yield Began("evaluate", len(plan.truths), "case")
    for number, name in enumerate(plan.truths, start=1):
        try:
            rows, remark = _measured(pairing.pairs[name], plan, wanted, tolerance)
        except InputError as error:
            skipped.append((name, str(error)))
            yield Skipped(name, str(error))
            continue
        scores += rows
        if remark:
            remarks[remark].append(name)
        yield from (case_event(row) for row in rows)
        yield Advanced("evaluate", number, item=name)
    for remark, names in remarks.items():
        notices.append(f"{counted(len(names), 'mask')} ({_listed(names)}): {remark}")
        yield Notice(notices[-1])
    if not scores:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped[:_LISTED])
        raise InputError(f"no mask under {masks} could be measured against {truths}: {reasons}")
    report = EvaluateReport(
        tuple(scores), (), skipped=tuple(skipped), notices=tuple(notices), tolerance=tolerance
    )
    report = yield from reported(report, out, pictures=pictures)
    if out is not None:
        yield from page_written(report, out)
    return report


def _planned(pairing: Pairing, wanted: Wanted, skipped: list[tuple[str, str]]) -> Recipe[LabelPlan]:
    """Count the labels of all files, and plan what they are; what cannot be used is ``skipped``."""
    counts: tuple[dict[str, FileLabels], dict[str, FileLabels]] = ({}, {})
    refused: dict[str, str] = {}
    yield Began("count labels", len(pairing.pairs), "case")
    for number, (name, pair) in enumerate(pairing.pairs.items(), start=1):
        try:
            both = _labels_of(pair.mask), _labels_of(pair.truth)
        except InputError as error:
            refused[name] = str(error)
            continue
        for side, labels in zip(counts, both, strict=True):
            side[name] = labels
        yield Advanced("count labels", number, item=name)
    plan = plan_labels(*counts, wanted)
    refused |= plan.refused
    for name, reason in refused.items():
        skipped.append((name, reason))
        yield Skipped(name, reason)
    return plan


def _labels_of(path: Path) -> FileLabels:
    values = np.bincount(read_labels(path)[0].reshape(-1, order="A"), minlength=256)
    voxels = {int(value): int(values[value]) for value in np.flatnonzero(values) if value}
    return FileLabels(voxels, stems(path))


def _measured(
    pair: Pair, plan: LabelPlan, wanted: Wanted, tolerance: float
) -> tuple[list[CaseScores], str]:
    """The scores of a pair, and what was unusual about its places."""
    placed = read_placed(pair)
    rows = score_case(
        pair.name,
        region_masks(placed.mask, plan.masks[pair.name]),
        region_masks(placed.truth, plan.truths[pair.name]),
        wanted.names,
        placed.geometry,
        tolerance,
    )
    return rows, placed.remark


def _unpaired(pairing: Pairing) -> str:
    alone = pairing.truths_alone
    have, be = agreeing(len(alone), "has", "have"), agreeing(len(alone), "is", "are")
    return f"{counted(len(alone), 'truth')} {have} no mask and {be} not measured: {_listed(alone)}"


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
