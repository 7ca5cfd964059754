"""The order in which cases are worth a person's look: uncertain ones, and unlike those before.

The next case is the one whose uncertainty times its distance to the nearest case before it is the
largest: farthest-first traversal (Gonzalez 1985, doi 10.1016/0304-3975(85)90224-5), which is the
greedy core-set of active learning (Sener and Savarese 2018, arXiv 1708.00489), weighted by
uncertainty. Cases that a person has looked at count as before all others, so that a case's place
does not change when those in front of it are done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mriseg.core.prepare import PreparedCase

# A case like another one is still worth this share of what one far from all others is.
_LEAST = 0.05
# Of the standardised values; a single odd scan must not make all others alike.
_CLIP = 3.0


@dataclass(frozen=True)
class Candidate:
    """A case in the queue.

    Attributes:
        name: the case's; names are unique.
        uncertainty: 0 to 1.
        descriptor: numbers that say what the case looks like, as many for every case.
    """

    name: str
    uncertainty: float
    descriptor: tuple[float, ...]


def order(candidates: Sequence[Candidate], seen: Sequence[Candidate] = ()) -> list[str]:
    """The names of ``candidates``, the one most worth a look first.

    It takes O(n (n + s)) time and O(n + s) memory, and does not depend on the order in which the
    cases are given.

    Args:
        candidates: n cases that nobody has looked at.
        seen: s cases that a person has looked at.

    Raises:
        ValueError: the descriptors differ in length.
    """
    waiting = sorted(candidates, key=lambda case: case.name)
    if not waiting:
        return []
    # Sorted, since the sums behind the scale depend on the order in their last digits.
    everything = sorted([*waiting, *seen], key=lambda case: case.name)
    places = dict(zip((c.name for c in everything), _standardised(everything), strict=True))
    points = np.stack([places[case.name] for case in waiting])
    weights = np.array([case.uncertainty for case in waiting])
    nearest = np.full(len(waiting), np.inf)
    for case in seen:
        nearest = np.minimum(nearest, _distances(points, places[case.name]))
    chosen: list[int] = []
    is_left = np.ones(len(waiting), bool)
    for _ in waiting:
        # Before any case all distances are alike.
        worth = weights * (_LEAST + np.where(np.isinf(nearest), 1.0, nearest))
        # The first of equals by uncertainty, then by name.
        best = np.lexsort((np.arange(len(waiting)), -weights, -worth, ~is_left))[0]
        chosen.append(int(best))
        is_left[best] = False
        nearest = np.minimum(nearest, _distances(points, points[best]))
    return [waiting[index].name for index in chosen]


def describe(case: PreparedCase, mask: NDArray[np.uint8]) -> tuple[float, ...]:
    """What a case looks like, in a few numbers that cost one pass over it.

    Args:
        case: prepared.
        mask: label map [z, y, x] on its grid; 0 is background.

    Returns:
        Of the mask: the logarithm of its volume, its centre (z, y, x, as shares of the case's
        box), its extent likewise; and of each of at most two modalities, first and last by name:
        its contrast (mean within the mask, in deviations from the brain's mean), deviation,
        skewness and share of bright voxels within the brain.
    """
    inside = mask > 0
    size = int(np.count_nonzero(inside))
    numbers = [np.log1p(size * case.geometry.voxel_volume)]
    for axis, length in enumerate(mask.shape):
        others = tuple(other for other in range(3) if other != axis)
        profile = np.count_nonzero(inside, axis=others)
        places = np.flatnonzero(profile)
        centre = float(profile @ np.arange(length)) / size / length if size else 0.5
        numbers += [centre, len(places) / length]
    for name in dict.fromkeys((min(case.modalities), max(case.modalities))):
        image = case.image[case.modalities.index(name)]
        values = image[image != 0].astype(np.float32)
        deviation = float(values.std()) if values.size else 0.0
        spread = deviation or 1.0
        mean = float(values.mean()) if values.size else 0.0
        contrast = float(image[inside].astype(np.float32).mean()) - mean if size else 0.0
        skewness = float((((values - mean) / spread) ** 3).mean()) if values.size else 0.0
        bright = float(np.mean(values > mean + 2 * spread)) if values.size else 0.0
        numbers += [contrast / spread, deviation, skewness, bright]
    if len(numbers) < _LENGTH:  # one modality alone counts twice
        numbers += numbers[-4:]
    return tuple(float(number) for number in numbers)


_LENGTH = 1 + 3 * 2 + 2 * 4


def _standardised(cases: Sequence[Candidate]) -> NDArray[np.float64]:
    """Descriptors [n, d] with mean 0 and deviation 1; what is alike for all, or unknown, is 0."""
    lengths = {len(case.descriptor) for case in cases}
    if len(lengths) > 1:
        raise ValueError(f"descriptors of {sorted(lengths)} numbers cannot be compared")
    table = np.array([case.descriptor for case in cases], np.float64).reshape(len(cases), -1)
    known = np.isfinite(table)
    count = np.maximum(known.sum(axis=0), 1)
    filled = np.where(known, table, 0)
    centred = np.where(known, filled - filled.sum(axis=0) / count, 0)
    spread = np.sqrt((centred**2).sum(axis=0) / count)
    # What rounding alone tells apart is alike.
    floor = 1e-9 * np.maximum(np.abs(filled).max(axis=0, initial=0), 1e-12)
    scaled = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > floor)
    return np.asarray(np.clip(scaled, -_CLIP, _CLIP))


def _distances(points: NDArray[np.float64], place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean square differences [n] of points [n, d] from a place [d]."""
    if not points.shape[1]:
        return np.zeros(len(points))
    return np.asarray(np.sqrt(np.square(points - place).mean(axis=1)))
