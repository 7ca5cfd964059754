"""Which cases, and which of their slices, show how good a model is: chosen by rule, not by eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.metrics import CaseScores

Array = NDArray[Any]


@dataclass(frozen=True)
class ShowcaseEntry:
    """A case chosen to be shown.

    Attributes:
        case: its name.
        rank: by its mean Dice over the regions, 1 the best.
        of: how many cases there are.
        place: "best", "median", "worst"; "" where all are shown and it is none of these.
        dice: region -> Dice.
    """

    case: str
    rank: int
    of: int
    place: str
    dice: dict[str, float]


def showcase(scores: Sequence[CaseScores], each: int = 2) -> list[ShowcaseEntry]:
    """The best, the median and the worst cases, from the best to the worst.

    Args:
        scores: one per case and region, in any order.
        each: how many of each of the three.

    Returns:
        ``3 * each`` cases; all of them where there are fewer. Of equal ones, the earlier
        name ranks higher, so that the choice does not depend on the order of ``scores``.
    """
    dice: dict[str, dict[str, float]] = {}
    for score in scores:
        dice.setdefault(score.case, {})[score.region] = score.dice
    ranked = sorted(dice, key=lambda case: (-fmean(dice[case].values()), case))
    number = len(ranked)
    middle = (number - each) // 2
    if number >= 3 * each:
        places = dict.fromkeys(range(each), "best")
        places |= dict.fromkeys(range(middle, middle + each), "median")
        places |= dict.fromkeys(range(number - each, number), "worst")
    else:
        places = dict.fromkeys(range(number), "")
        if number % 2 == 1:
            places[number // 2] = "median"
        if number > 1:
            places |= {0: "best", number - 1: "worst"}
    return [
        ShowcaseEntry(ranked[index], index + 1, number, place, dice[ranked[index]])
        for index, place in places.items()
    ]


def telling_slices(masks: Array, truth: Array) -> tuple[int, int]:
    """The slice with most of the truth, and the slice with most errors.

    Args:
        masks: 0/1 [r, z, y, x], the prediction.
        truth: the same, the true masks.

    Returns:
        The slice with the largest true area over all regions, or else with the largest predicted
        area, or else the middle; and the one with the most wrong voxels, or
        else the first again. Of equal slices, the lowest.
    """
    wrong = _areas(masks != truth)
    true = _areas(truth)
    areas = true if true.any() else _areas(masks)
    shown = int(areas.argmax()) if areas.any() else areas.size // 2
    return shown, int(wrong.argmax()) if wrong.any() else shown


def _areas(masks: Array) -> NDArray[np.int64]:
    """Voxels of each slice, over all regions."""
    areas: NDArray[np.int64] = np.count_nonzero(masks, axis=(0, 2, 3))
    return areas
