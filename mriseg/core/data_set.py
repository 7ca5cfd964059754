"""What stands out in a data set: copies, other sizes and spacings, missing channels and masks.

Nothing here says that a case is wrong. Each remark is one of a case beside the others, to be looked
at before a network learns from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mriseg.core.fingerprint import Fingerprint, alike

# As `mriseg.core.resampling` has it: pixels within a fifth are taken as they are.
_SPACING = 0.2
_EXTENT = 1 / 3
_AXES = ("slices", "rows", "columns")


@dataclass(frozen=True)
class DataCase:
    """A case, as far as it is compared with others.

    Attributes:
        name: the case's.
        patient: whose scan it is.
        shape: of the whole scan in canonical axes (z, y, x), in voxels.
        spacing: likewise, in ``unit``.
        unit: "mm", or "px" where the scan states no voxel size.
        modalities: those it has.
        voxels: of each region; None where there is no segmentation.
        content: a digest of its voxels.
        fingerprint: what it looks like.
    """

    name: str
    patient: str
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    unit: str
    modalities: tuple[str, ...]
    voxels: tuple[int, ...] | None
    content: str = ""
    fingerprint: Fingerprint = ()


def remarks(cases: Sequence[DataCase]) -> dict[str, tuple[str, ...]]:
    """What to look at: case -> remarks, of those that have any."""
    if not cases:
        return {}
    every: dict[str, list[str]] = {case.name: [] for case in cases}
    for name, text in (*_copies(cases), *_places(cases), *_contents(cases)):
        every[name].append(text)
    return {name: tuple(texts) for name, texts in every.items() if texts}


def _copies(cases: Sequence[DataCase]) -> list[tuple[str, str]]:
    pairs = {(p.first, p.second) for p in alike([case.fingerprint for case in cases])}
    first: dict[str, int] = {}
    for number, case in enumerate(cases):
        if case.content:
            before = first.setdefault(case.content, number)
            if before != number:
                pairs.add((before, number))
    texts = []
    for one, other in sorted(pairs):
        a, b = cases[one], cases[other]
        same = a.content and a.content == b.content
        verb = "the same voxels as" if same else "looks like the same scan as"
        texts += [(a.name, f"{verb} {b.name}"), (b.name, f"{verb} {a.name}")]
    return texts


def _places(cases: Sequence[DataCase]) -> list[tuple[str, str]]:
    """Of spacing and size, beside the median of the cases with the same unit."""
    texts = []
    for unit in dict.fromkeys(case.unit for case in cases):
        group = [case for case in cases if case.unit == unit]
        spacings = np.array([case.spacing for case in group], dtype=np.float64)
        extents = spacings * np.array([case.shape for case in group], dtype=np.float64)
        usual, wide = np.median(spacings, axis=0), np.median(extents, axis=0)
        for case, spacing, extent in zip(group, spacings, extents, strict=True):
            off = np.abs(spacing / usual - 1) > _SPACING
            if unit == "mm" and off.any():
                texts.append(
                    (case.name, f"voxels of {_sides(spacing)} mm; usual: {_sides(usual)} mm")
                )
            for axis in np.flatnonzero(np.abs(extent / wide - 1) > _EXTENT):
                if unit == "px" and axis == 0:  # how many slices a head takes depends on their size
                    continue
                size = f"{extent[axis]:.0f} {unit} of {_AXES[axis]}"
                texts.append((case.name, f"{size}; usual: {wide[axis]:.0f}"))
    units = Counter(case.unit for case in cases)
    if len(units) > 1:
        texts += [(case.name, "states no voxel size") for case in cases if case.unit == "px"]
    return texts


def _contents(cases: Sequence[DataCase]) -> list[tuple[str, str]]:
    counts = Counter(name for case in cases for name in case.modalities)
    usual = [name for name, count in counts.items() if count > len(cases) / 2]
    labelled = any(case.voxels is not None for case in cases)
    texts = []
    for case in cases:
        lacking = [name for name in usual if name not in case.modalities]
        if lacking:
            texts.append((case.name, f"lacks {', '.join(lacking)}"))
        if case.voxels is None and labelled:
            texts.append((case.name, "no segmentation"))
        if case.voxels is not None and not any(case.voxels):
            texts.append((case.name, "empty segmentation"))
    return texts


def _sides(spacing: Iterable[float]) -> str:
    return " x ".join(f"{side:.3g}" for side in spacing)
