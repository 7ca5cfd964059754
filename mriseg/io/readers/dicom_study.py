"""Studies of DICOM: which series they hold, what they are called and whose they are.

Names come from folders. Headers say only which studies are of one patient, and in which order.
"""

from __future__ import annotations

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from mriseg.core.drafts import Row
from mriseg.core.modalities import MODALITIES
from mriseg.core.patients import CaseName, name_case
from mriseg.core.series import REFORMAT
from mriseg.io.dicom.headers import DicomHeader
from mriseg.io.dicom.studies import Series, notes_on, series_among
from mriseg.io.readers import folders
from mriseg.io.readers.base import Case
from mriseg.io.readers.loading import load_files

# Folders of an export that say nothing.
_GENERIC = re.compile(r"dicom\w*|dcm|images?|(?:st|se|s|study|series)[-_ ]?\d+", re.IGNORECASE)
# Rows that would settle a case, at most.
_MAX_ROWS = 12


@dataclass
class Study:
    """What may become a case.

    Attributes:
        folder: the deepest that holds all of it.
        series: in the order of their numbers.
        damaged: files that lie among its own and cannot be read -> why.
        problem: why it is not one; else empty.
        name: of the case, from folders.
    """

    folder: Path
    series: list[Series]
    damaged: dict[Path, str] = field(default_factory=dict)
    problem: str = ""
    name: CaseName = CaseName("", "")

    @property
    def first(self) -> DicomHeader:
        """Of its headers any one."""
        return self.series[0].headers[0]

    @property
    def patients(self) -> set[str]:
        """Digests of the IDs of those whose images are in it."""
        return {header.patient for series in self.series for header in series.headers}

    @property
    def candidates(self) -> dict[str, list[Series]]:
        """Modality -> the series that may be it; a reformat only where there is nothing else."""
        each: dict[str, list[Series]] = {}
        for series in self.series:
            if series.guess.modality:
                each.setdefault(series.guess.modality, []).append(series)
        for modality, several in each.items():
            originals = [series for series in several if not series.guess.reformat]
            each[modality] = originals or several
        return {name: each[name] for name in MODALITIES if name in each}

    @property
    def others(self) -> list[Series]:
        """The series that are set aside."""
        kept = {series.paths for several in self.candidates.values() for series in several}
        return [series for series in self.series if series.paths not in kept]

    def aside(self) -> dict[Path, str]:
        """Files of the series that are set aside -> why, in words that quote no header."""
        return {
            path: f"of a series that is set aside: {series.guess.reason or REFORMAT}"
            for series in self.others
            for path in series.paths
        }

    def refusal(self, root: Path) -> str:
        """Why its series do not tell what the case is read from; or nothing."""
        if self.damaged:
            first = next(iter(self.damaged.values()))
            more = (
                f" (and {len(self.damaged) - 1} more such files)" if len(self.damaged) > 1 else ""
            )
            return f"{first}{more}"
        if not self.candidates:
            reasons = Counter(series.guess.reason for series in self.series)
            listed = ", ".join(f"{why} ({number})" for why, number in reasons.most_common(5))
            return f"none of its {len(self.series)} series is of a known modality: {listed}"
        for modality, several in self.candidates.items():
            if len(several) > 1:
                files = " or ".join(_relative(series.paths[0], root) for series in several)
                return f"{len(several)} series may be its {modality}: those of {files}"
            places = {path.parent for path in several[0].paths}
            if len(places) > 1:
                listed = ", ".join(sorted(_relative(place, root) for place in places)[:3])
                return f"its {modality} lies in several folders ({listed}); put it into one"
        return ""

    def case(self, root: Path) -> Case:
        """The case, whose modalities have one series each."""
        chosen = {modality: several[0] for modality, several in self.candidates.items()}
        files = {modality: series.paths for modality, series in chosen.items()}
        return Case(
            name=self.name.case,
            patient=self.name.patient,
            sources=files,
            load=partial(load_files, self.name.case, files, "tumour"),
            visit=self.name.visit,
            notes=notes_on(chosen, self.others, root),
        )

    def rows(self, root: Path) -> tuple[Row, ...]:
        """Rows of a table of cases, one of which would settle it."""
        if self.problem or self.damaged:
            return ()
        candidates = self.candidates
        rows = []
        for chosen in itertools.islice(itertools.product(*candidates.values()), _MAX_ROWS):
            named = dict(zip(candidates, chosen, strict=True))
            others = [series for series in self.series if series not in chosen]
            files = {modality: series.paths[0] for modality, series in named.items()}
            rows.append(Row(self.name, files, notes_on(named, others, root)))
        return tuple(rows)


def studies_among(
    root: Path, headers: Sequence[DicomHeader], problems: Mapping[Path, str]
) -> list[Study]:
    """The studies among headers, named, each with what is wrong with it as a whole."""
    by_uid: dict[str, list[DicomHeader]] = {}
    for header in headers:
        by_uid.setdefault(header.study, []).append(header)
    studies = [Study(_common(each), series_among(each)) for each in by_uid.values()]
    studies = _one_patient_each(studies)
    for study in studies:
        places = {header.path.parent for series in study.series for header in series.headers}
        study.damaged = {path: why for path, why in problems.items() if path.parent in places}
    _name(root, studies)
    return studies


def _common(headers: Iterable[DicomHeader]) -> Path:
    return Path(os.path.commonpath([header.path.parent for header in headers]))


def _one_patient_each(studies: Sequence[Study]) -> list[Study]:
    """The studies, those of several patients in one folder as one that is refused."""
    by_folder: dict[Path, list[Study]] = {}
    for study in studies:
        by_folder.setdefault(study.folder, []).append(study)
    studies_of_one = []
    for folder, inside in by_folder.items():
        patients = {patient for study in inside for patient in study.patients}
        if len(patients) == 1:
            studies_of_one += inside
            continue
        series = [one for study in inside for one in study.series]
        files = {header.patient: header.path for one in series for header in one.headers}
        listed = ", ".join(sorted(path.name for path in files.values())[:4])
        why = (
            f"images of {len(patients)} patients lie in one folder, by the IDs in their headers "
            f"({listed}); give each patient a folder"
        )
        studies_of_one.append(Study(folder, series, problem=why))
    return studies_of_one


def _name(root: Path, studies: Sequence[Study]) -> None:
    """Give each study a name of its own, from its folders; visits of a patient by their dates."""
    base = root if root.is_dir() else root.parent
    whole = base.resolve()
    outer = [folders.text(part) for part in (whole.parent.name, whole.name) if part]
    for study in studies:
        inner = [folders.text(part) for part in study.folder.relative_to(base).parts]
        study.name = _from_folders(outer, inner)
    for names in (_told_apart_by_parent, _numbered_by_date):
        names(studies, base)
    patients = _linked(studies)
    for study in studies:
        study.name = study.name._replace(patient=patients[study.name.patient])


def _from_folders(outer: Sequence[str], inner: Sequence[str]) -> CaseName:
    levels, inside = [*outer, *inner], len(inner)
    while len(levels) > 1 and inside > 0 and _GENERIC.fullmatch(levels[-1]):
        levels.pop()
        inside -= 1
    return name_case(levels or ["study"], "", inside)


def _alike(studies: Iterable[Study]) -> Iterator[list[Study]]:
    by_name: dict[str, list[Study]] = {}
    for study in studies:
        by_name.setdefault(study.name.case, []).append(study)
    return (each for each in by_name.values() if len(each) > 1)


def _told_apart_by_parent(studies: Sequence[Study], base: Path) -> None:
    for each in _alike(studies):
        if len({study.folder for study in each}) == 1:
            continue
        for study in each:
            parts = study.folder.relative_to(base).parts
            named = next((n for n, part in enumerate(parts) if part == study.name.case), 0)
            if named > 0:
                above = folders.text(parts[named - 1])
                case = f"{above}__{study.name.case}"
                patient = f"{above}__{study.name.patient}"
                study.name = CaseName(case, patient, study.name.visit)


def _numbered_by_date(studies: Sequence[Study], base: Path) -> None:
    for each in _alike(studies):
        in_order = sorted(
            each, key=lambda study: (study.first.when, study.folder, study.first.study)
        )
        for number, study in enumerate(in_order, start=1):
            study.name = CaseName(f"{study.name.case}_{number}", study.name.patient, str(number))


def _linked(studies: Sequence[Study]) -> dict[str, str]:
    """Name of a patient by folders -> the one name of all that the headers or folders unite."""
    names = {study.name.patient: study.name.patient for study in studies}
    by_id: dict[str, str] = {}
    for study in sorted(studies, key=lambda study: study.name.case):
        for patient in study.patients if not study.problem else ():
            first = names[study.name.patient]
            second = names[by_id.setdefault(patient, study.name.patient)]
            kept = min(first, second)
            names = {n: kept if to in (first, second) else to for n, to in names.items()}
    return names


def _relative(path: Path, root: Path) -> str:
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return folders.text(shown.as_posix())
