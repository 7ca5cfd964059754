"""One calibration for several institutions, from patients left out, in which each counts the same.

A threshold that the patients of one institution chose need not fit those of another, nor scans with
fewer modalities. Here each group (institution, data set) counts the same, within it each subset of
modalities, within that each patient, and each scan whatever its size, so that the largest does not
choose for all.

What such a calibration gives is measured on patients who did not choose it: those of each part by
the calibration of all other parts (nested). A model that is trained on all has that of all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mriseg.core.calibration import FEWEST, Calibration, Tally, calibrate
from mriseg.core.metrics import METRICS, CaseScores
from mriseg.core.statistics import bootstrap, per_patient

# Of the bootstrap: the same scores give the same intervals.
_SEED = 0


@dataclass(frozen=True)
class HeldOut:
    """A case by a training that never saw its patient, in one subset of its modalities.

    Attributes:
        case: its name.
        patient: whose it is.
        group: where it is from; "" where nothing says so.
        part: that was held out with it.
        subset: the modalities that were asked for, as in "all" and "T1+FLAIR".
        used: those that it gave.
    """

    case: str
    patient: str
    group: str
    part: str
    subset: str
    used: tuple[str, ...]


@dataclass(frozen=True)
class Counted:
    """What a calibration needs of a case: region -> voxels by logit and truth.

    Attributes:
        tallies: by the logits of the network as trained.
        dice_by_share: region -> as of `mriseg.core.calibration.dice_by_min_share`.
    """

    tallies: Mapping[str, Tally]
    dice_by_share: Mapping[str, tuple[float, ...]]


def weights(cases: Sequence[HeldOut]) -> list[float]:
    """What each case counts: groups alike, in each its subsets, in these patients, then cases.

    They add up to 1, if there are any.
    """
    groups = {case.group for case in cases}
    subsets, people, visits = (dict[tuple[str, ...], set[str]]() for _ in range(3))
    for case in cases:
        group, cell = (case.group,), (case.group, case.subset)
        subsets.setdefault(group, set()).add(case.subset)
        people.setdefault(cell, set()).add(case.patient)
        visits.setdefault((*cell, case.patient), set()).add(case.case)
    return [
        1
        / len(groups)
        / len(subsets[case.group,])
        / len(people[case.group, case.subset])
        / len(visits[case.group, case.subset, case.patient])
        for case in cases
    ]


def pooled(
    cases: Sequence[tuple[HeldOut, Counted]], regions: Sequence[str]
) -> dict[str, Calibration]:
    """Region -> its calibration; a region that fewer than `FEWEST` patients show has none."""
    calibrations = {}
    balance = weights([case for case, _ in cases])
    for region in regions:
        showing = {case.patient for case, of in cases if of.tallies[region][1].any()}
        if len(showing) >= FEWEST:
            calibrations[region] = calibrate(
                [of.tallies[region] for _, of in cases],
                [of.dice_by_share[region] for _, of in cases],
                weights=balance,
            )
    return calibrations


def nested(
    cases: Sequence[tuple[HeldOut, Counted]], regions: Sequence[str]
) -> dict[str, dict[str, Calibration]]:
    """Part -> the calibrations of all other parts, by which its own patients can be measured."""
    parts = dict.fromkeys(case.part for case, _ in cases)
    return {part: pooled([c for c in cases if c[0].part != part], regions) for part in parts}


@dataclass(frozen=True)
class Figure:
    """One metric of one region in some of the patients held out.

    Attributes:
        group: whose patients; "" stands for all together.
        subset: the modalities that were used.
        region: the region's name.
        metric: one of `mriseg.core.metrics.METRICS`.
        patients: how many have a value.
        cases: of how many cases.
        undefined: how many cases have none, and are left out.
        mean: over the patients; nan where none has a value.
        median: likewise.
        low: lower end of the mean's 95 % bootstrap interval over patients.
        high: its upper end.
    """

    group: str
    subset: str
    region: str
    metric: str
    patients: int
    cases: int
    undefined: int
    mean: float
    median: float
    low: float
    high: float


def figures(rows: Sequence[tuple[HeldOut, CaseScores]]) -> list[Figure]:
    """Means over patients, of all together and of each group, by subset, region and metric."""
    groups = ["", *dict.fromkeys(case.group for case, _ in rows if case.group)]
    result = []
    for group in groups:
        own = [row for row in rows if not group or row[0].group == group]
        for subset in dict.fromkeys(case.subset for case, _ in own):
            within = [row for row in own if row[0].subset == subset]
            for region in dict.fromkeys(scores.region for _, scores in within):
                of_region = [row for row in within if row[1].region == region]
                result += [_figure(group, subset, region, m, of_region) for m in METRICS]
    return result


def _figure(
    group: str,
    subset: str,
    region: str,
    metric: str,
    rows: Sequence[tuple[HeldOut, CaseScores]],
) -> Figure:
    values = [(case.patient, float(getattr(scores, metric))) for case, scores in rows]
    known = [value for value in values if not math.isnan(value[1])]
    means = [mean for _, mean in sorted(per_patient(known).items())]
    low, high = bootstrap(means, np.random.default_rng(_SEED))
    return Figure(
        group=group,
        subset=subset,
        region=region,
        metric=metric,
        patients=len(means),
        cases=len(known),
        undefined=len(values) - len(known),
        mean=math.fsum(means) / len(means) if means else math.nan,
        median=float(np.median(means)) if means else math.nan,
        low=low,
        high=high,
    )
