"""Names of MRI sequences as they occur in file names, and their canonical names.

T1, T1CE (contrast-enhanced), T2 and FLAIR are the canonical names; any other name is kept as
written. BraTS changed from t1, t1ce, t2, flair to t1n, t1c, t2w, t2f in 2023.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from mriseg.errors import ConfigError

SEGMENTATION = "seg"
"""The role of a segmentation file."""

MODALITIES = ("T1", "T1CE", "T2", "FLAIR")

_ALIASES = {
    "T1": "t1 t1n t1w t1wi t1pre t1native t1weighted mrt1 t1precontrast",
    "T1CE": (
        "t1ce t1c t1gd t1gado t1km t1post t1wce t1cew t1wc t1wgd t1wpost t1contrast t1+c mrt1c ct1 "
        "cet1 cet1w t1c+ t1cw t1postcontrast t1postgd"
    ),
    "T2": "t2 t2w t2wi t2weighted mrt2",
    "FLAIR": "flair t2f t2flair flairt2 t2wflair mrflair darkfluid",
}
_CANONICAL = {alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()}
_SEPARATORS = re.compile(r"[\s_.\-]+")


def canonical_modality(name: str) -> str:
    """The canonical name of a modality, whatever its case and separators.

    An unknown name (``ADC``, ``CT``) is returned as written, without surrounding spaces.
    """
    return _CANONICAL.get(_SEPARATORS.sub("", name.lower()), name.strip())


def aliases() -> dict[str, str]:
    """Every spelling of a modality, in lower case and without separators -> its canonical name."""
    return dict(_CANONICAL)


def modalities_among(names: Sequence[str], known: Sequence[str], what: str) -> tuple[str, ...]:
    """The modalities that a user's ``names`` mean, as ``known`` spells them, each once.

    Args:
        names: in any spelling.
        known: those to choose from.
        what: knows them, as the beginning of a sentence: "the model reads".

    Raises:
        ConfigError: a name means none of them; the message suggests a similar one.
    """
    if not names:
        raise ConfigError("no modality is named; leave --modalities out for the default")
    spelled = {canonical_modality(name).casefold(): name for name in known}
    wanted = dict.fromkeys(canonical_modality(name) for name in names)
    unknown = [name for name in wanted if name.casefold() not in spelled]
    if unknown:
        verb = what.rpartition(" ")[2]
        close = dict.fromkeys(
            spelled[match]
            for name in unknown
            for match in difflib.get_close_matches(name.casefold(), list(spelled), n=1)
        )
        suggestion = f"; did you mean {', '.join(close)}?" if close else ""
        raise ConfigError(
            f"{what} no modality {', '.join(unknown)}; it {verb} {', '.join(known)}: choose among "
            f"these with --modalities{suggestion}"
        )
    return tuple(name if name in known else spelled[name.casefold()] for name in wanted)


def display_modality(modalities: Sequence[str]) -> str:
    """The modality that masks are shown on: FLAIR, or else the first of these."""
    return "FLAIR" if "FLAIR" in modalities else modalities[0]
