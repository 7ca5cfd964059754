"""Names of BIDS, read and written (https://bids-specification.readthedocs.io, version 1.11).

``sub-01_ses-2_acq-ax_ce-gd_T1w`` is entities, in an order that the standard states, and a suffix.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mriseg.core.filenames import BRAIN_MASK, entities, read_name
from mriseg.core.modalities import MODALITIES, SEGMENTATION, canonical_modality
from mriseg.errors import InputError

VERSION = "1.11.0"
DESCRIPTION = "dataset_description.json"

# In the standard's order.
_ORDER = ("sub", "ses", "acq", "ce", "rec", "dir", "run", "space", "res", "den", "label", "desc")
# What all images of a scan may share, and what is made of them then too.
_INHERITED = ("acq", "rec", "run", "space", "res")
_MASK_SUFFIXES = ("mask", "dseg", "roi", "seg")
_PARTS = ("phase", "real", "imag")
_NO_CONTRAST = ("none", "no", "pre", "non", "without", "native")
_OF_CONTRAST = ("acq", "rec", "desc")


@dataclass(frozen=True)
class BidsName:
    """A name in its parts.

    Attributes:
        entities: key -> value, with ``sub`` among them.
        suffix: what the file is, such as ``T1w``.
    """

    entities: Mapping[str, str]
    suffix: str

    @property
    def session(self) -> tuple[str, str]:
        """The values of ``sub`` and ``ses``; the second may be empty."""
        return self.entities["sub"], self.entities.get("ses", "")

    @property
    def space(self) -> str:
        """The space that the image was brought to; empty: its own."""
        return self.entities.get("space", "")

    def without(self, *keys: str) -> str:
        """Its entities but for some, spelled: what tells it from others of its kind."""
        kept = {key: v for key, v in self.entities.items() if key not in (*keys, "sub", "ses")}
        return "_".join(f"{key}-{value}" for key, value in kept.items())


def read_bids(stem: str) -> BidsName | None:
    """The parts of a file's name without its ending; None where it names no subject."""
    known = entities(stem)
    if not known:
        return None
    return BidsName(known, next((p for p in reversed(stem.split("_")) if "-" not in p), ""))


def spelled(known: Mapping[str, str], suffix: str) -> str:
    """The name of these entities and this suffix, without an ending."""
    ordered = sorted(known.items(), key=lambda item: _ORDER.index(item[0]))
    return "_".join([f"{key}-{value}" for key, value in ordered if value] + [suffix])


@dataclass(frozen=True)
class Content:
    """What a file holds, by its name.

    Attributes:
        role: a modality, "seg", or empty.
        reason: why neither; empty where there is a role.
        notice: what was assumed.
    """

    role: str = ""
    reason: str = ""
    notice: str = ""


def content_of(name: BidsName, stem: str) -> Content:
    """What an anatomical file holds: its suffix decides, and ``ce-`` makes a T1w a T1CE.

    Where ``ce-`` is lacking, and ``acq-``, ``rec-`` or ``desc-`` says that there was contrast, it
    counts, with a notice.

    Args:
        name: the parts of its name.
        stem: its name.
    """
    suffix = name.suffix
    if suffix.lower() in _MASK_SUFFIXES:
        reading = read_name(stem)
        is_mask = reading.role == SEGMENTATION
        return Content(SEGMENTATION) if is_mask else Content(reason=reading.reason or BRAIN_MASK)
    if suffix.lower() in ("probseg", "defacemask"):
        what = "a probability map" if suffix.lower() == "probseg" else "a mask of the face"
        return Content(reason=f"{what} ({suffix})")
    if name.entities.get("part", "").lower() in _PARTS:
        return Content(reason=f"a part of a signal (part-{name.entities['part']})")
    role = canonical_modality(suffix)
    if role not in MODALITIES:
        said = f"the suffix {suffix}" if suffix else "no suffix"
        return Content(reason=f"{said}, which is none of T1w, T2w and FLAIR")
    if role != "T1":
        return Content(role)
    agent = name.entities.get("ce")
    if agent is not None:
        return Content("T1" if agent.lower() in _NO_CONTRAST else "T1CE")
    for key in _OF_CONTRAST:
        # The word before the modality, as people spell it elsewhere: "postgd_T1w".
        value = name.entities.get(key, "")
        if value and read_name(f"{value}_T1w").role == "T1CE":
            return Content(
                "T1CE", notice=f"{stem} was taken as T1CE, by its {key}-{value}; it has no ce-"
            )
    return Content("T1")


def shared(names: Iterable[BidsName]) -> dict[str, str]:
    """The entities of a scan, and of its images those in which all agree that a mask shares.

    Args:
        names: of the images of one session; at least one.
    """
    names = list(names)
    first = names[0].entities
    kept = {key: first[key] for key in ("sub", "ses") if key in first}
    for key in _INHERITED:
        values = {name.entities.get(key) for name in names}
        if len(values) == 1 and first.get(key) is not None:
            kept[key] = first[key]
    return kept


def label_value(text: str) -> str:
    """``text`` as the value of an entity, which has letters and digits only: "P 1-b" -> "P1b".

    The key that a name of BIDS begins with is none of its value: "sub-01" -> "01".
    """
    return re.sub(r"[^A-Za-z0-9]", "", re.sub(r"^[_-]*(?:sub|ses)-(?=[A-Za-z0-9])", "", text))


def label_values(texts: Sequence[str], what: str) -> dict[str, str]:
    """Each text as the value of an entity, no two the same.

    Args:
        texts: to spell.
        what: they are, for the message.

    Raises:
        InputError: nothing is left of one, or two become the same (upper and lower case aside,
            which some file systems do not tell apart).
    """
    values = {text: label_value(text) for text in texts}
    counts = Counter(value.casefold() for value in values.values())
    for text, value in values.items():
        if not value:
            raise InputError(
                f"{what} {text!r} has no letter or digit of ASCII, which BIDS has in names alone; "
                f"give it another name in a table of cases"
            )
        if counts[value.casefold()] > 1:
            others = [t for t, v in values.items() if v.casefold() == value.casefold()]
            raise InputError(
                f"{what} {' and '.join(map(repr, others[:3]))} would share the name {value} in "
                f"BIDS, which has letters and digits alone; give them other names in a table of "
                f"cases"
            )
    return values


def folder_of(known: Mapping[str, str]) -> tuple[str, ...]:
    """The folders that a file of these entities lies in, of anatomical images."""
    levels = [f"{key}-{known[key]}" for key in ("sub", "ses") if known.get(key)]
    return (*levels, "anat")


def entities_by_case(cases: Mapping[str, tuple[str, str]]) -> dict[str, dict[str, str]]:
    """Case -> the entities that name it, of cases that BIDS did not name.

    The patient becomes ``sub``, and the visit ``ses``, or where there is none, what the case's name
    has after the patient's. Of each, letters and digits are kept. A case's name so depends on no
    other case.

    Args:
        cases: name -> patient and visit.

    Raises:
        InputError: two patients, two visits of one, or two cases would share a name.
    """
    subjects = label_values(sorted({patient for patient, _ in cases.values()}), "the patient")
    sessions = {
        case: visit or (case.removeprefix(patient) if case.startswith(patient) else "")
        for case, (patient, visit) in cases.items()
    }
    named: dict[str, dict[str, str]] = {}
    for patient, subject in subjects.items():
        inside = [case for case in cases if cases[case][0] == patient]
        texts = sorted({sessions[case] for case in inside if sessions[case]})
        values = label_values(texts, f"of {patient}, the visit")
        taken: dict[str, str] = {}
        for case in inside:
            visit = values.get(sessions[case], "")
            other = taken.setdefault(visit, case)
            if other != case:
                raise InputError(
                    f"the cases {other} and {case} are of one patient and one visit, and would "
                    f"share a name in BIDS; give each a visit of its own in a table of cases"
                )
            named[case] = {"sub": subject} | ({"ses": visit} if visit else {})
    return named
