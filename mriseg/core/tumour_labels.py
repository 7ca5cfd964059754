"""The labels of BraTS by year, and the canonical ones that mriseg brings them to.

The canonical labels are those of BraTS 2015, the only scheme that distinguishes all tissues,
followed by the resection cavity of 2024:

==================  =========  ====  =========  ====  ====
tissue              canonical  2015  2017-2021  2023  2024
==================  =========  ====  =========  ====  ====
necrosis            1          1     1          1     1
oedema              2          2     2          2     2
non-enhancing       3          3     in 1       in 1  in 1
enhancing           4          4     4          3     3
resection cavity    5          -     -          -     4
==================  =========  ====  =========  ====  ====

Paediatric labels (BraTS-PED) changed their meaning from 2023 (as 2023 above) to 2024 (1 enhancing,
2 non-enhancing, 3 cyst, 4 oedema), and the values do not show the year: only the whole tumour is
known of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

TUMOUR_REGIONS = {"WT": (1, 2, 3, 4), "TC": (1, 3, 4), "ET": (4,)}
TUMOUR_LABELS = {
    1: "necrosis",
    2: "oedema",
    3: "non-enhancing tumour",
    4: "enhancing tumour",
    5: "resection cavity",
}

# BraTS-GLI-00000-000, since 2023: challenge, patient, time point.
_MODERN_NAME = re.compile(r"(BraTS-(?:[A-Z]+-)+\d+)-\d+", re.IGNORECASE)
# Only these two modality names are new in 2023 and not used elsewhere.
_MODERN_MODALITY = re.compile(r"[-_.](t1n|t2f)$", re.IGNORECASE)
_PAEDIATRIC = re.compile(r"BraTS-PED-", re.IGNORECASE)
# Names of the years in which label 3 was the non-enhancing tumour.
_OLD_NAME = re.compile(r"^VSD\.|brats_(?:2013|tcia)_pat", re.IGNORECASE)


@dataclass(frozen=True)
class Numbering:
    """How a file's labels become the canonical ones.

    Attributes:
        renamed: the file's label -> the canonical one, of those that change.
        notice: what was assumed; empty if nothing.
        regions: names of the regions that the labels give for certain; None: all.
    """

    renamed: Mapping[int, int] = field(default_factory=dict)
    notice: str = ""
    regions: tuple[str, ...] | None = None


def numbering(values: AbstractSet[int], name: str, stems: Iterable[str] = ()) -> Numbering:
    """How the labels of one segmentation are numbered.

    Args:
        values: the labels that occur in it.
        name: the case's name, which shows the year where the labels do not.
        stems: the stems of the case's files, which may show it too.
    """
    texts = (name, *stems)
    if any(_PAEDIATRIC.match(text) for text in texts):
        return Numbering(regions=("WT",))
    # Beyond 5 they are of something else.
    high = {value for value in values if value > 2}
    if not high or high - {3, 4}:
        return Numbering()
    modern_name = any(_MODERN_NAME.match(text) for text in texts)
    if modern_name or any(_MODERN_MODALITY.search(text) for text in texts):
        if 3 in high:
            return Numbering({3: 4, 4: 5} if 4 in high else {3: 4})
        if modern_name:
            return Numbering(
                {4: 5},
                "label 4 was taken as the resection cavity, as in BraTS 2024; there is no label 3",
            )
        return Numbering()
    if 4 in high or any(_OLD_NAME.search(text) for text in texts):
        return Numbering()
    return Numbering(
        {3: 4}, "label 3 was taken as the enhancing tumour, as in BraTS 2023; there is no label 4"
    )


def renumbered(labels: NDArray[np.uint8], renamed: Mapping[int, int]) -> NDArray[np.uint8]:
    """Labels with some values replaced by others, all at once."""
    if not renamed:
        return labels
    changed = labels.copy(order="K")
    for old, new in renamed.items():
        np.copyto(changed, np.uint8(new), where=labels == old)
    return changed


def label_counts(labels: NDArray[np.uint8]) -> dict[int, int]:
    """How many voxels have each label; the background, 0, is left out."""
    # Few voxels are labelled, and counting takes eight bytes for each that is looked at.
    flat = labels.ravel(order="K")
    counts = np.bincount(flat[flat != 0], minlength=1)
    return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
