"""Names of MRI sequences as they occur in file names, and their canonical names.

T1, T1CE (contrast-enhanced), T2 and FLAIR are the canonical names; any other name is kept as
written. BraTS changed from t1, t1ce, t2, flair to t1n, t1c, t2w, t2f in 2023.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

SEGMENTATION = "seg"
"""The role of a segmentation file."""

MODALITIES = ("T1", "T1CE", "T2", "FLAIR")

_ALIASES = {
    "T1": "t1 t1n t1w t1wi t1pre t1native t1weighted mrt1 t1precontrast",
    "T1CE": (
        "t1ce t1c t1gd t1gado t1km t1post t1wce t1cew t1wc t1wgd t1wpost t1contrast t1+c mrt1c ct1 "
        "cet1 cet1w t1cw t1postcontrast t1postgd"
    ),
    "T2": "t2 t2w t2wi t2weighted mrt2",
    "FLAIR": "flair t2f t2flair flairt2 t2wflair mrflair",
}
_CANONICAL = {alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()}
_SEPARATORS = re.compile(r"[\s_.\-]+")


def canonical_modality(name: str) -> str:
    """The canonical name of a modality, whatever its case and separators.

    An unknown name (``ADC``, ``CT``) is returned as written, without surrounding spaces.
    """
    canonical = _CANONICAL.get(_SEPARATORS.sub("", name.lower()))
    return canonical if canonical in MODALITIES else name.strip()


def display_modality(modalities: Sequence[str]) -> str:
    """The modality that masks are shown on: FLAIR, or else the first of these."""
    return "FLAIR" if "FLAIR" in modalities else modalities[0]
