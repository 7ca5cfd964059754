"""Whether two cases look like the same scan, whatever their files, names and intensities are.

Data sets hand the same scans on under other names: BraTS took up those of years before, renamed,
re-scaled, stripped of other voxels or short of a modality. No digest of voxels finds those. A
fingerprint does, and is small enough to be kept with a case and with every model trained on it.

Of each modality: the means over a grid of 12 x 12 x 12 blocks, laid by the centre and the spread of
the foreground, which a few more or fewer voxels at its rim hardly move; less their surroundings,
so that bias fields, and what all brains have in common, go; and of that the signs of 2048 fixed
random projections. The angle between two such maps is the share of signs that differ (Charikar
2002, "Similarity estimation techniques from rounding algorithms", STOC), so the cosine of it is
their correlation, to about 0.01 where it matters. No picture of the patient travels with a model.

It does not see through a rotation, a mirroring or another field of view: a scan registered anew to
another space is another scan here.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mriseg.core.prepare import PreparedCase

Fingerprint = tuple[tuple[str, str], ...]
"""(modality, 2048 signs as base64) for each modality, by name."""

SAME = 0.9
"""From here on two cases are taken for the same scan. Measured on real ones: of different patients,
all pairs of 208 hippocampus crops, 40 LGG, 6 BraTS and 2 MS cases stay below 0.80. A stripped scan
(BraTS, MS) that was re-scaled, rounded, clipped, given a bias field, cut by three voxels a side or
stripped of two more at its rim is above 0.96. In a head with few thick slices (LGG), or a crop
(hippocampus), two slices less are a part of the anatomy, and may hide that it is the same."""

_GRID = 12
# The half-width of the grid in standard deviations: of a box that is all foreground, the box.
_REACH = 3**0.5
_SURROUNDINGS = 1.5  # of the Gaussian that is taken off, in blocks
_BITS = 2048


class Pair(NamedTuple):
    """Two cases that look alike: where they stand in their lists, and their similarity."""

    first: int
    second: int
    similarity: float


def fingerprint(case: PreparedCase) -> Fingerprint:
    """The fingerprint of a case; without modalities that show no structure at its scale."""
    inside = np.asarray(case.image.any(axis=0))
    if not inside.any():
        return ()
    weights = [_blocks(inside, axis) for axis in range(3)]
    share = _means(np.asarray(inside, dtype=np.float32), weights)
    found = []
    for name, image in sorted(zip(case.modalities, case.image, strict=True)):
        values = _detail(_means(image.astype(np.float32), weights), share)
        if values.any():
            signs = values.ravel() @ _projections() > 0
            found.append((name, base64.b64encode(np.packbits(signs).tobytes()).decode("ascii")))
    return tuple(found)


def alike(
    first: Sequence[Fingerprint],
    second: Sequence[Fingerprint] | None = None,
    *,
    threshold: float = SAME,
) -> list[Pair]:
    """The pairs of cases that look like the same scan.

    Args:
        first: fingerprints; an empty one is like no other.
        second: those to compare with; None: the first among themselves, each pair once.
        threshold: the similarity from which on a pair counts.
    """
    found = _similarities(first, first if second is None else second)
    near = found >= threshold
    rows, columns = np.nonzero(np.triu(near, 1) if second is None else near)
    return [Pair(int(i), int(j), float(found[i, j])) for i, j in zip(rows, columns, strict=True)]


def _blocks(inside: NDArray[np.bool_], axis: int) -> NDArray[np.float32]:
    """The share [block, voxel] of each block along an axis that each voxel is, parts included."""
    counts = inside.sum(axis=tuple(other for other in range(3) if other != axis))
    places = np.arange(counts.size) + 0.5
    centre = np.average(places, weights=counts)
    # A voxel's own width is a part of the spread: a single slice has one too.
    spread = np.sqrt(np.average((places - centre) ** 2, weights=counts) + 1 / 12)
    edges = np.linspace(centre - _REACH * spread, centre + _REACH * spread, _GRID + 1)
    voxels = np.arange(counts.size)
    overlap = np.minimum(edges[1:, None], voxels + 1) - np.maximum(edges[:-1, None], voxels)
    return np.asarray(overlap.clip(min=0) / (edges[1] - edges[0]), dtype=np.float32)


def _means(
    volume: NDArray[np.float32], weights: Sequence[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Means [12, 12, 12] of ``volume`` [z, y, x] over the blocks."""
    z, y, x = weights
    plane = np.tensordot(z, volume, (1, 0))
    return np.asarray(np.einsum("yj,zjx->zyx", y, plane @ x.T, optimize=True))


def _detail(means: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
    """The means less those of their surroundings, where there is foreground, around 0."""
    weight = ndimage.gaussian_filter(share, _SURROUNDINGS)
    around = ndimage.gaussian_filter(means, _SURROUNDINGS) / np.maximum(weight, 1e-3)
    detail = means - share * around
    detail -= detail.mean()
    # What rounding leaves of a constant is no structure.
    return np.where(np.abs(detail) > 1e-5 * max(np.abs(means).max(), 1e-6), detail, 0)


@lru_cache(maxsize=1)
def _projections() -> NDArray[np.float32]:
    """Random signs [block, bit]; from a hash, so that they are the same for ever, everywhere."""
    count = _GRID**3 * _BITS
    stream = hashlib.shake_256(b"mriseg fingerprint 1").digest(count // 8)
    return _signs(stream).reshape(_GRID**3, _BITS)


def _signs(packed: bytes) -> NDArray[np.float32]:
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8))
    return bits.astype(np.float32) * 2 - 1


def _similarities(
    first: Sequence[Fingerprint], second: Sequence[Fingerprint]
) -> NDArray[np.float32]:
    """Similarities [first, second], by a matrix product a modality."""
    found = np.full((len(first), len(second)), -2, dtype=np.float32)
    for name in {name for item in first for name, _ in item}:
        rows, left = _stacked(tuple(first), name)
        columns, right = _stacked(tuple(second), name)
        if rows and columns:
            place = np.ix_(rows, columns)
            differing = (1 - left @ right.T / _BITS) / 2
            found[place] = np.maximum(found[place], np.cos(np.pi * differing))
    return np.where(found < -1, 0, found)


# Of a model's training cases, case after case asks for the same.
@lru_cache(maxsize=8)
def _stacked(items: tuple[Fingerprint, ...], name: str) -> tuple[list[int], NDArray[np.float32]]:
    """Which fingerprints have a modality, and its signs [fingerprint, bit]."""
    there = [(row, dict(item)[name]) for row, item in enumerate(items) if name in dict(item)]
    if not there:
        return [], np.empty((0, _BITS), dtype=np.float32)
    return [row for row, _ in there], np.stack(
        [_signs(base64.b64decode(text)) for _, text in there]
    )
