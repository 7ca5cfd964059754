"""Whose scan a case is: the case's name, its patient and the visit, from names and folder levels.

A patient's visits must never part: a split would test on whom it trained on. Where names do not
tell two patients apart, they count as one, which hardly affects a split, while a leak would.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

# Names of public data sets: (patient)(visit), the visit not always there.
_KNOWN = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # BraTS-GLI-00000-000 and BraTS-MEN-RT-0000-1, since 2023.
        r"(?P<patient>BraTS-(?:[A-Z]+-)+\d+)-(?P<visit>\d+)",
        r"(?P<patient>UPENN-GBM-\d+)_(?P<visit>\d+)",
        r"(?P<patient>UCSF-PDGM-\d+)(?:_(?P<visit>FU\d+d))?(?:_nifti)?",
        r"(?P<patient>RHUH-\d+)_(?P<visit>\d+)",
        r"(?P<patient>brats_2013_pat\d+)_(?P<visit>\d+)",
        # TCGA_CS_4941_19960909 and TCGA-02-0003_1997.06.08.
        r"(?P<patient>TCGA[-_]\w+?[-_]\w+?)_(?P<visit>\d{8}|\d{4}\.\d\d\.\d\d)",
    )
)
# Brats17_TCIA_105_1, Brats18_TCIA08_105_1: year, site, patient, time point; brats_tcia_pat105_0001.
_SITE_NAME = re.compile(
    r"brats\d\d_(?!training|validation)(2013|[a-z]+)\d*_(\w+?)_(\d+)", re.IGNORECASE
)
_TCIA_2015 = re.compile(r"brats_tcia_pat(\d+)_(\d+)", re.IGNORECASE)

_DATE = r"(?:19|20)\d\d[-_.]?[01]\d[-_.]?[0-3]\d"
_VISIT = (
    rf"(?:{_DATE}|(?:ses|session|visit|tp|timepoint|week|wk|month|day|year|followup|follow-up|fu)"
    r"[-_ ]?\d+[a-z]?(?:[-_.]\d+)*|[vwmdy]\d{1,3}|baseline|bl|followup|follow-up|fu|"
    r"pre-?op|post-?op|pre|post)"
)
_IS_VISIT = re.compile(_VISIT, re.IGNORECASE)
_IS_NUMBER = re.compile(r"\d{1,3}")
_ENDS_IN_VISIT = re.compile(rf"(?P<patient>.*\w)[-_.](?P<visit>{_VISIT})", re.IGNORECASE)
# P01_S2 and OAS1_0001_MR2: so short a word is a visit only after a number.
_ENDS_IN_NUMBERED = re.compile(
    r"(?P<patient>.*\d)[-_.](?P<visit>(?:s|t|mr|mri|scan|exam|time)\d{1,2})", re.IGNORECASE
)

# Folders that say what is in them and not whose it is.
_OF_A_SCAN_WORDS = "mr mri anat scan orig native structural preprocessed processed"
_OF_MANY_WORDS = "mris scans image images img imgs nii nifti niftis raw data"
_GENERIC = frozenset(f"{_OF_A_SCAN_WORDS} {_OF_MANY_WORDS}".split())
_OF_A_SCAN = frozenset(_OF_A_SCAN_WORDS.split())


class CaseName(NamedTuple):
    """What a case is called, and whose it is.

    Attributes:
        case: the case's name.
        patient: shared by all cases of a patient.
        visit: which of the patient's visits; empty where nothing says so.
    """

    case: str
    patient: str
    visit: str = ""


def patient_of(name: str) -> tuple[str, str]:
    """The patient and the visit that a case's name states; the visit may be empty.

    The year and the time point are removed from names in one of the patterns of BraTS, so that the
    same patient in two years, or at two time points, is one patient. Of other names a date or a
    word such as ``visit2`` or ``baseline`` at the end is the visit.
    """
    if match := _SITE_NAME.fullmatch(name):
        return f"{match[1]}_{match[2]}".upper(), match[3]
    if match := _TCIA_2015.fullmatch(name):
        return f"TCIA_{match[1]}", match[2]
    for pattern in (*_KNOWN, _ENDS_IN_VISIT, _ENDS_IN_NUMBERED):
        if match := pattern.fullmatch(name):
            return match["patient"], match["visit"] or ""
    return name, ""


def name_case(levels: Sequence[str], subject: str, inside: int) -> CaseName:
    """The name of the case in a folder.

    It comes from the case's own folders and files, so that it does not depend on which other
    cases lie beside it.

    Args:
        levels: names of the folders that lead to the case, the case's own last; at least one.
        subject: the name that its files share; may be empty.
        inside: how many of ``levels``, from the last, lie below the folder that was given.
    """
    levels = list(levels)
    while len(levels) > 1 and levels[-1].lower() in (_GENERIC if inside > 0 else _OF_A_SCAN):
        if subject:
            return CaseName(subject, *patient_of(subject))
        levels.pop()
        inside -= 1
    own, parent = levels[-1], levels[-2] if len(levels) > 1 else ""
    number = _IS_NUMBER.fullmatch(own) is not None
    visit = _IS_VISIT.fullmatch(own) is not None
    if parent and (number or visit):
        if _names_a_patient(parent, subject) or (visit and inside > 1):
            whole = name_case(levels[:-1], "", inside - 1)
            return CaseName(f"{whole.case}__{own}", whole.patient, own)
        if number and inside > 1:
            # A site's patients: another site has the same numbers.
            own = f"{parent}__{own}"
    if subject and own.lower().startswith(subject.lower()):
        return CaseName(own, *patient_of(subject))
    return CaseName(own, *patient_of(own))


def says_whose(folder: str, case: str) -> bool:
    """Whether a folder's name adds to a case's name: it is not generic, nor part of it already."""
    words = re.split(r"[^A-Za-z0-9]+", case)
    return folder.lower() not in _GENERIC and folder != case and folder not in words


def _names_a_patient(folder: str, subject: str) -> bool:
    """Whether a folder of visits is a patient's: its files say so, or it is numbered itself."""
    return (bool(subject) and subject.lower().startswith(folder.lower())) or folder[-1:].isdigit()
