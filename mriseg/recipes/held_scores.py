"""Masks of patients held out, by calibrations that they did not choose, measured in 3-D."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import special

from mriseg.core.calibration import Calibration
from mriseg.core.certainty import CertaintyMap, Known, fit
from mriseg.core.evidence import Evidence, evidence_of
from mriseg.core.metrics import CaseScores, score_case
from mriseg.core.pooled_calibration import Counted, HeldOut, nested, pooled
from mriseg.core.postprocess import remove_minor_components
from mriseg.core.regions import region_masks
from mriseg.core.trials import ALL
from mriseg.errors import InputError
from mriseg.events import Advanced, Began, Recipe
from mriseg.io.cross_validations import LIMIT, STEPS, HeldMask, read_held
from mriseg.recipes.held_out import CrossStudy

Calibrated = dict[str, Calibration]


@dataclass(frozen=True)
class HeldScores:
    """What the patients held out gave.

    Attributes:
        rows: each case in each of its subsets, with the scores of a region.
        nested: part -> region -> the calibration by which its patients were measured.
        pooled: region -> the calibration of all of them, for a run that is trained on all.
        certainty: region -> how sure a mask is of itself, from cases with all their modalities.
    """

    rows: tuple[tuple[HeldOut, CaseScores], ...]
    nested: dict[str, Calibrated]
    pooled: Calibrated
    certainty: dict[str, CertaintyMap]


def held_scores(study: CrossStudy) -> Recipe[HeldScores]:
    """Calibrate across groups and subsets, and measure each part by the calibration of the others.

    Raises:
        InputError: what was predicted of a case is damaged, or was of another scan.
    """
    places = _places(study)
    regions = tuple(study.regions)
    counted = [(row, _counted(read_held(path, len(regions)), regions)) for row, path in places]
    own = nested(counted, regions)
    by_part: dict[str, Calibrated] = {}
    for trial in study.trials:
        run = study.begun(trial)
        assert run is not None, "all trainings are done"
        # Where too few others show a region, by what follows from the loss.
        prior = dict(zip(run.manifest.regions, run.calibration().regions, strict=True))
        by_part[trial.part] = {name: own[trial.part].get(name, prior[name]) for name in regions}
    unique = {(row.case, row.used): (row, path) for row, path in places}
    scores: dict[tuple[str, tuple[str, ...]], list[CaseScores]] = {}
    whole = {(row.case, row.used) for row, _ in places if row.subset == ALL}
    known: dict[str, list[Known]] = {name: [] for name in regions}
    yield Began("measure", len(unique), "mask")
    for number, (key, (row, path)) in enumerate(unique.items(), start=1):
        scores[key], evidence = _scored(study, row, path, by_part[row.part])
        for score, each in zip(scores[key], evidence, strict=True):
            if key in whole:
                known[score.region].append(Known(each, score.dice))
        yield Advanced("measure", number, item=f"{row.case} {'+'.join(row.used)}")
    rows = tuple((row, each) for row, _ in places for each in scores[row.case, row.used])
    maps = {name: fit(cases) for name, cases in known.items()}
    certainty = {name: each for name, each in maps.items() if each is not None}
    return HeldScores(rows, by_part, pooled(counted, regions), certainty)


def _places(study: CrossStudy) -> list[tuple[HeldOut, Path]]:
    places = []
    for trial in study.trials:
        known, folder = study.predicted(trial), study.folder(trial)
        places += [(row, folder / known[row.case, row.used].file) for row in study.wanted(trial)]
    return places


def _counted(mask: HeldMask, regions: Sequence[str]) -> Counted:
    return Counted(
        dict(zip(regions, mask.tallies, strict=True)),
        {name: tuple(of) for name, of in zip(regions, mask.dice_by_share.tolist(), strict=True)},
    )


def _scored(
    study: CrossStudy, row: HeldOut, path: Path, by_region: Mapping[str, Calibration]
) -> tuple[list[CaseScores], list[Evidence]]:
    """The scores of a case, and what its masks show of themselves, by region."""
    case = study.store.read_case(row.case)
    assert case.labels is not None, "plan_training() keeps labelled cases alone"
    truth = region_masks(case.labels, study.regions)
    held = read_held(path, len(by_region))
    if held.logits.shape != truth.shape:
        raise InputError(
            f"{path} is of a scan of another shape than {row.case} has now; start again in another "
            f"folder"
        )
    own = [by_region[name] for name in study.regions]
    masks = masks_of(held.logits, own)
    scores = score_case(row.case, masks, truth, tuple(study.regions), case.geometry)
    return scores, evidence_in(held, masks, own)


def evidence_in(
    held: HeldMask, masks: NDArray[np.uint8], calibrations: Sequence[Calibration]
) -> list[Evidence]:
    """What masks show of how good they are, by region, as prediction takes it.

    Args:
        held: that the masks are of.
        masks: [r, z, y, x].
        calibrations: by which they were made, one per region.
    """
    evidence = []
    for r, each in enumerate(calibrations):
        logits = held.logits[r]
        probabilities = special.expit(each.scale * (logits / np.float32(STEPS)) + each.shift)
        # Where nothing was computed.
        probabilities[logits <= -LIMIT * STEPS] = 0
        copies = float(held.agreement[r])
        shown = evidence_of(
            probabilities, masks[r], masks[r], None if math.isnan(copies) else copies
        )
        evidence.append(replace(shown, unmoved=float(held.unmoved[r])))
    return evidence


def masks_of(logits: NDArray[np.int16], calibrations: Sequence[Calibration]) -> NDArray[np.uint8]:
    """The masks [r, z, y, x] of stored logits [r, z, y, x], as prediction makes them.

    Args:
        logits: in steps, see `mriseg.io.cross_validations.HeldMask`.
        calibrations: one per region.
    """
    levels = np.array([special.logit(each.own_threshold) * STEPS for each in calibrations])
    masks = (logits > levels[:, None, None, None]).astype(np.uint8)
    return remove_minor_components(masks, [each.min_component_share for each in calibrations])


def of_subset(scores: HeldScores, subset: str) -> list[CaseScores]:
    """The scores of one subset, in the order of the cases' names."""
    rows = [row for case, row in scores.rows if case.subset == subset]
    return sorted(rows, key=lambda row: row.case)
