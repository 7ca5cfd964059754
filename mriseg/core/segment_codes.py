"""Codes for regions, by which other programs know what a segment is.

From the context groups of DICOM (part 16): CID 7150 for categories, CID 7159 for lesions. A region
whose name says none of these is tissue, and its own name is its label.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Code(NamedTuple):
    """A concept of a coding scheme: SNOMED CT (SCT) or the NCI Thesaurus (NCIt)."""

    value: str
    scheme: str
    meaning: str


class SegmentCode(NamedTuple):
    """What a segment is.

    Attributes:
        category: of CID 7150.
        kind: of CID 7159 where it is a lesion.
        is_lesion: whether it is one, which then lies in the brain.
    """

    category: Code
    kind: Code
    is_lesion: bool


BRAIN = Code("12738006", "SCT", "Brain")
_ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
_TISSUE = Code("85756007", "SCT", "Tissue")

# In this order: "non-enhancing" is enhancing too, and a necrotic core is no whole tumour.
_KINDS: tuple[tuple[str, Code], ...] = (
    (r"non[-_ ]?enhanc\w*|net", Code("C81175", "NCIt", "Non-Enhancing Lesion")),
    (r"et|enhanc\w*", Code("C113842", "NCIt", "Enhancing Lesion")),
    (r"o?edema|ed", Code("79654002", "SCT", "Edema")),
    (r"necro\w*|ncr", Code("6574001", "SCT", "Necrosis")),
    (r"wt|tc|tumou?rs?|neoplasm|glioma|core", Code("108369006", "SCT", "Neoplasm")),
    (r"lesions?|wmh|infarct|stroke|ms", Code("52988006", "SCT", "Lesion")),
)


def segment_code(region: str) -> SegmentCode:
    """The codes of a region, by its name."""
    words = re.split(r"[ _.]+", region.lower())
    for pattern, kind in _KINDS:
        if re.fullmatch(pattern, region.lower()) or any(re.fullmatch(pattern, w) for w in words):
            return SegmentCode(_ABNORMAL, kind, is_lesion=True)
    return SegmentCode(_TISSUE, _TISSUE, is_lesion=False)
