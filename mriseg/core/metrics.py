"""How well a mask matches the truth: overlap from counts, the scores of a case, summaries.

Distances between surfaces are in `mriseg.core.surface`, lesions are counted in
`mriseg.core.lesions`.

What an empty mask gives is a decision, and this is the one taken here:

============  ==========  ===========  ===============  ================
              both empty  truth empty  prediction empty  why
============  ==========  ===========  ===============  ================
Dice, IoU     1           0            0                nothing to find, nothing found: right
sensitivity   nan         nan          0                a share of the truth's voxels
precision     nan         0            nan              a share of the prediction's voxels
HD95, ASSD    0           nan          nan              there is no surface to measure to
NSD           1           0            0                no surface lies near the other: as Dice
lesion F1     1           0            0                Dice, of lesions instead of voxels
============  ==========  ===========  ===============  ================

The BraTS leaderboards put 373.13 mm, the diagonal of their 240 x 240 x 155 grid, where one surface
is missing. That number depends on the field of view and swamps a mean over patients, so here the
distance stays undefined, `Summary` counts how often, and the miss shows in Dice as a 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.lesions import count_lesions
from mriseg.core.statistics import bootstrap
from mriseg.core.surface import TOLERANCE, surface_distances
from mriseg.core.volume import Geometry, foreground
from mriseg.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True)
class Counts:
    """Voxels of one region by what was said and what is true.

    Counts add up: those of a volume are the sum of its slices', so a Dice in 3-D needs no volume
    in memory. ``sum(counts, start=Counts())`` works.

    Attributes:
        tp: foreground in both.
        fp: foreground in the prediction alone.
        fn: foreground in the truth alone.
        tn: background in both.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn
        )


def count(prediction: Array, target: Array) -> Counts:
    """Count one region's voxels.

    Args:
        prediction: a mask of any shape; what is not 0 is foreground.
        target: the truth, in the same shape.

    Raises:
        InputError: the shapes differ.
    """
    prediction, target = foreground(prediction, target)
    tp = int(np.count_nonzero(prediction & target))
    fp = int(np.count_nonzero(prediction)) - tp
    fn = int(np.count_nonzero(target)) - tp
    return Counts(tp, fp, fn, prediction.size - tp - fp - fn)


def dice(counts: Counts) -> float:
    """Dice coefficient, 2 tp / (2 tp + fp + fn); 1 where both masks are empty."""
    return _ratio(2 * counts.tp, 2 * counts.tp + counts.fp + counts.fn, empty=1.0)


def iou(counts: Counts) -> float:
    """Intersection over union, tp / (tp + fp + fn); 1 where both masks are empty."""
    return _ratio(counts.tp, counts.tp + counts.fp + counts.fn, empty=1.0)


def sensitivity(counts: Counts) -> float:
    """The share of the truth that was found, tp / (tp + fn); nan where the truth is empty."""
    return _ratio(counts.tp, counts.tp + counts.fn)


def precision(counts: Counts) -> float:
    """The share of the prediction that is true, tp / (tp + fp); nan where nothing was predicted."""
    return _ratio(counts.tp, counts.tp + counts.fp)


def specificity(counts: Counts) -> float:
    """The share of the background that was left alone, tn / (tn + fp); nan where there is none.

    It grows with the field of view, so it compares models on the same volumes only.
    """
    return _ratio(counts.tn, counts.tn + counts.fp)


@dataclass(frozen=True)
class CaseScores:
    """One region of one case, measured.

    Attributes:
        case: the case's name.
        region: the region's name.
        dice: see the module's table for this and the others when a mask is empty.
        iou: intersection over union.
        sensitivity: the share of the truth that was found.
        precision: the share of the prediction that is true.
        hd95: 95 % Hausdorff distance, in ``unit``.
        assd: average symmetric surface distance, in ``unit``.
        nsd: normalised surface Dice, at the tolerance of `score_case`.
        lesions: how many the truth has: 26-connected components.
        lesions_detected: how many of them the prediction touches.
        lesions_false: components of the prediction that touch none of the truth.
        lesion_f1: of these three, as in `mriseg.core.lesions.LesionCounts`.
        volume_pred: of the prediction: mL where ``unit`` is "mm", else voxels.
        volume_truth: of the truth, likewise.
        unit: "mm", or "px" where the scan states no voxel size.
    """

    case: str
    region: str
    dice: float
    iou: float
    sensitivity: float
    precision: float
    hd95: float
    assd: float
    nsd: float
    lesions: int
    lesions_detected: int
    lesions_false: int
    lesion_f1: float
    volume_pred: float
    volume_truth: float
    unit: str


def score_case(
    name: str,
    prediction: Array,
    target: Array,
    regions: Sequence[str],
    geometry: Geometry,
    tolerance: float = TOLERANCE,
) -> list[CaseScores]:
    """Measure one case, region by region.

    Args:
        name: the case's name.
        prediction: masks [r, z, y, x]; what is not 0 is foreground.
        target: the truth, in the same shape.
        regions: the names of the r regions.
        geometry: of the scan that they are masks of, whole or cropped.
        tolerance: of the normalised surface Dice, in the geometry's unit.

    Raises:
        InputError: the shapes differ, or ``regions`` does not name each channel.
        ConfigError: ``tolerance`` is negative or nan.
    """
    prediction, target = foreground(prediction, target)
    if prediction.ndim != 4 or len(regions) != len(prediction):
        raise InputError(
            f"case {name}: masks of shape {prediction.shape} do not hold one volume for each of "
            f"the {len(regions)} regions ({', '.join(regions)})"
        )
    scores = []
    for region, mask, truth in zip(regions, prediction, target, strict=True):
        counts = count(mask, truth)
        distances = surface_distances(mask, truth, geometry.spacing, tolerance)
        lesions = count_lesions(mask, truth)
        scores.append(
            CaseScores(
                case=name,
                region=region,
                dice=dice(counts),
                iou=iou(counts),
                sensitivity=sensitivity(counts),
                precision=precision(counts),
                hd95=distances.hd95,
                assd=distances.assd,
                nsd=distances.nsd,
                lesions=lesions.lesions,
                lesions_detected=lesions.detected,
                lesions_false=lesions.false,
                lesion_f1=lesions.f1,
                volume_pred=geometry.volume_of(counts.tp + counts.fp).value,
                volume_truth=geometry.volume_of(counts.tp + counts.fn).value,
                unit=geometry.unit,
            )
        )
    return scores


METRICS = ("dice", "iou", "sensitivity", "precision", "hd95", "assd", "nsd", "lesion_f1")


@dataclass(frozen=True)
class Summary:
    """One metric of one region over the cases.

    Attributes:
        region: the region's name.
        metric: one of `METRICS`.
        cases: how many cases have a value.
        undefined: how many have none (nan); they are left out of what follows.
        mean: over the cases that have one; nan if none has.
        median: likewise.
        low: lower end of the mean's 95 % bootstrap interval; nan below two cases.
        high: its upper end.
    """

    region: str
    metric: str
    cases: int
    undefined: int
    mean: float
    median: float
    low: float
    high: float


def summarise(
    scores: Sequence[CaseScores], generator: np.random.Generator, resamples: int = 2000
) -> list[Summary]:
    """Mean, median and a 95 % interval of the mean, for each region and metric.

    The interval is `mriseg.core.statistics.bootstrap`'s over cases, the unit that is drawn
    independently.

    Args:
        scores: from `score_case`, of all cases together.
        generator: where the resampling's randomness comes from.
        resamples: how often the cases are drawn again.

    Returns:
        One summary per region, in order of appearance, and metric, in `METRICS`'s order.
    """
    summaries = []
    for region in dict.fromkeys(score.region for score in scores):
        of_region = [score for score in scores if score.region == region]
        for metric in METRICS:
            every = np.array([getattr(score, metric) for score in of_region], dtype=np.float64)
            values = every[~np.isnan(every)]
            low, high = bootstrap(values, generator, resamples)
            summaries.append(
                Summary(
                    region=region,
                    metric=metric,
                    cases=values.size,
                    undefined=every.size - values.size,
                    mean=float(values.mean()) if values.size else math.nan,
                    median=float(np.median(values)) if values.size else math.nan,
                    low=low,
                    high=high,
                )
            )
    return summaries


def _ratio(part: int, whole: int, empty: float = math.nan) -> float:
    return part / whole if whole else empty
