"""Whether two cases look like the same scan, whatever their files, names and intensities are.

Data sets republish the same scans under other names: BraTS included those of earlier years,
renamed, re-scaled, with another brain mask or without a modality. A digest of voxels does not find
those. A fingerprint does, and is small enough to be stored with a case and with every model trained
on it.

For each modality: the means over a grid of 12 x 12 x 12 blocks, placed by the centre and the spread
of the foreground, which a few more or fewer voxels at its rim hardly move; minus the mean of their
surroundings, which removes bias fields and what all brains have in common; and then the signs of
2048 fixed random projections. The share of differing signs is the angle between two such maps
(Charikar 2002, "Similarity estimation techniques from rounding algorithms", STOC), so its cosine is
their correlation, to about 0.01 where it matters. No image of the patient travels with a model.

A fingerprint is not invariant to rotation, mirroring or the field of view: a scan registered to
another space counts as another scan.
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

from mriseg.core import halves
from mriseg.core.prepare import PreparedCase

Fingerprint = tuple[tuple[str, str], ...]
"""(modality, 2048 signs as base64) for each modality, by name."""

SAME = 0.9
"""From this similarity on, two cases count as the same scan. Measured on real scans: all pairs of
different patients among 208 hippocampus crops, 40 LGG, 6 BraTS and 2 MS cases stay below 0.80. A
skull-stripped scan (BraTS, MS) that was re-scaled, rounded, clipped, given a bias field, cropped by
three voxels per side or eroded by two at its rim stays above 0.96. In a head with few thick slices
(LGG), or in a crop (hippocampus), two missing slices remove anatomy, and may hide that it is the
same scan."""

_GRID = 12
# The half-width of the grid in standard deviations: for a box full of foreground, the box itself.
_REACH = 3**0.5
_SURROUNDINGS = 1.5  # sigma of the Gaussian that is subtracted, in blocks
_BITS = 2048
# Words of 64 bits that are compared at first; pairs of which that is done at once, and pairs that
# are compared whole at once.
_FIRST = 4
_BLOCK = 2**18
_AT_ONCE = 2**15


class Pair(NamedTuple):
    """Two cases that look alike: their positions in their lists, and their similarity."""

    first: int
    second: int
    similarity: float


def fingerprint(case: PreparedCase) -> Fingerprint:
    """The fingerprint of a case, without modalities that show no structure at its scale."""
    inside = np.asarray(halves.nonzero(case.image).any(axis=0))
    if not inside.any():
        return ()
    weights = [_blocks(inside, axis) for axis in range(3)]
    share = _means(np.asarray(inside, dtype=np.float32), weights)
    signatures = []
    for name, image in sorted(zip(case.modalities, case.image, strict=True)):
        values = _detail(_means(image.astype(np.float32), weights), share)
        if values.any():
            signs = values.ravel() @ _projections() > 0
            signatures.append(
                (name, base64.b64encode(np.packbits(signs).tobytes()).decode("ascii"))
            )
    return tuple(signatures)


def alike(
    first: Sequence[Fingerprint],
    second: Sequence[Fingerprint] | None = None,
    *,
    threshold: float = SAME,
) -> list[Pair]:
    """The pairs of cases that look like the same scan.

    Their similarity is the correlation of the most similar modality that both have, -1 to 1; 0 if
    they share none.

    Args:
        first: fingerprints; an empty one is similar to none.
        second: fingerprints to compare with; None: the first among themselves, each pair once.
        threshold: the lowest similarity of a pair that is returned.
    """
    others = first if second is None else second
    by_modality = [
        (_packed(tuple(first), name), _packed(tuple(others), name))
        for name in sorted({name for item in first for name, _ in item})
    ]
    pairs: list[Pair] = []
    # Row by row in blocks: all pairs of ten thousand cases at once are gigabytes.
    height = max(1, _BLOCK // max(1, len(others)))
    for start in range(0, len(first), height):
        rows = slice(start, min(start + height, len(first)))
        columns = slice(start if second is None else 0, len(others))
        best = _similarities(by_modality, rows, columns, threshold)
        near = np.argwhere(best >= threshold).tolist()
        pairs += [
            Pair(start + i, columns.start + j, float(best[i, j]))
            for i, j in near
            if second is not None or i < j
        ]
    return pairs


def _blocks(inside: NDArray[np.bool_], axis: int) -> NDArray[np.float32]:
    """The share [block, voxel] of each block along an axis that each voxel fills."""
    counts = inside.sum(axis=tuple(other for other in range(3) if other != axis))
    positions = np.arange(counts.size) + 0.5
    centre = np.average(positions, weights=counts)
    # A voxel's own width adds to the spread: even a single slice has some.
    spread = np.sqrt(np.average((positions - centre) ** 2, weights=counts) + 1 / 12)
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
    """The means minus those of their surroundings, where there is foreground, centred at 0."""
    weight = ndimage.gaussian_filter(share, _SURROUNDINGS)
    around = ndimage.gaussian_filter(means, _SURROUNDINGS) / np.maximum(weight, 1e-3)
    detail = means - share * around
    detail -= detail.mean()
    # What rounding leaves of a constant is not structure.
    return np.where(np.abs(detail) > 1e-5 * max(np.abs(means).max(), 1e-6), detail, 0)


@lru_cache(maxsize=1)
def _projections() -> NDArray[np.float32]:
    """Random signs [block, bit], from a hash, so that they never change between versions."""
    count = _GRID**3 * _BITS
    stream = hashlib.shake_256(b"mriseg fingerprint 1").digest(count // 8)
    return _signs(stream).reshape(_GRID**3, _BITS)


def _signs(packed: bytes) -> NDArray[np.float32]:
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8))
    return bits.astype(np.float32) * 2 - 1


def _similarities(
    by_modality: Sequence[tuple[_Packed, _Packed]], rows: slice, columns: slice, threshold: float
) -> NDArray[np.float32]:
    """Similarities [row, column]; of pairs surely below ``threshold``, less than that."""
    best = np.full((rows.stop - rows.start, columns.stop - columns.start), -2, dtype=np.float32)
    most = _most_at_first(threshold)
    for every_left, every_right in by_modality:
        left, right = every_left.part(rows), every_right.part(columns)
        if not (len(left.cases) and len(right.cases)):
            continue
        if most < _FIRST * 64:
            candidates = np.nonzero(_first_differing(left.words, right.words) <= most)
        else:
            candidates = np.nonzero(np.ones((len(left.cases), len(right.cases)), dtype=bool))
        for start in range(0, len(candidates[0]), _AT_ONCE):
            i, j = (which[start : start + _AT_ONCE] for which in candidates)
            differing = np.bitwise_count(left.words[i] ^ right.words[j]).sum(axis=1)
            similar = np.cos(np.pi * (differing.astype(np.float32) / _BITS))
            pairs = left.cases[i] - rows.start, right.cases[j] - columns.start
            best[pairs] = np.maximum(best[pairs], similar)
    return np.where(best < -1, 0, best) if threshold <= 0 else best


def _first_differing(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.uint16]:
    """How many of the first bits differ, [left, right]."""
    shape = len(left), len(right)
    counts = np.zeros(shape, dtype=np.uint16)
    # Into the same memory each time: to ask the system for more takes longer than to count.
    changed, bits = np.empty(shape, dtype=np.uint64), np.empty(shape, dtype=np.uint8)
    for word in range(_FIRST):
        column = np.ascontiguousarray(right[:, word])
        np.bitwise_xor(left[:, word, None], column, out=changed)
        counts += np.bitwise_count(changed, out=bits)
    return counts


def _most_at_first(threshold: float) -> int:
    """How many of the first bits may differ in a pair of that similarity, by any chance.

    Each bit is a projection of its own, so the first are a sample: nine standard deviations above
    what is expected of the least similar pair. A pair beyond that is below the threshold but for a
    chance of 1e-18, and the others are counted in full. Different scans differ in half of the bits,
    or in a third where they are registered, so that few remain.
    """
    share = float(np.arccos(np.clip(threshold, -1, 1)) / np.pi)
    size = _FIRST * 64
    if share >= 0.5:
        return size
    return int(np.ceil(size * share + 9 * np.sqrt(size * share * (1 - share))))


class _Packed(NamedTuple):
    """The signs of one modality.

    Attributes:
        cases: which fingerprints have it, in order.
        words: [case, word], 64 signs each.
    """

    cases: NDArray[np.int64]
    words: NDArray[np.uint64]

    def part(self, rows: slice) -> _Packed:
        """Of some of the fingerprints."""
        first, last = np.searchsorted(self.cases, (rows.start, rows.stop))
        return _Packed(self.cases[first:last], self.words[first:last])


# Cached: every case is compared with the same training cases of a model.
@lru_cache(maxsize=8)
def _packed(items: tuple[Fingerprint, ...], name: str) -> _Packed:
    """The signs of the fingerprints that have a modality."""
    encoded = [
        (row, text) for row, item in enumerate(items) for named, text in item if named == name
    ]
    words = np.frombuffer(b"".join(base64.b64decode(text) for _, text in encoded), dtype=np.uint64)
    rows = np.array([row for row, _ in encoded], dtype=np.int64)
    return _Packed(rows, words.reshape(-1, _BITS // 64))
