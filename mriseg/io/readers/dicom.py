"""DICOM as scanners and archives give it: a study, or a folder of studies.

A study is a case. Headers tell its series apart, and the modality of each is guessed
(`mriseg.core.series`). What the guess was is shown by `mriseg inspect`, and a table of cases, in
which a file stands for its series, overrules it.

Names of cases and patients are those of folders: nothing of a header but geometry enters a store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mriseg.core.wording import counted
from mriseg.errors import InputError
from mriseg.io.dicom.extra import READING
from mriseg.io.dicom.headers import is_dicom
from mriseg.io.dicom.studies import headers_in
from mriseg.io.images import is_image
from mriseg.io.readers import folders
from mriseg.io.readers.base import Listing, ReaderOptions
from mriseg.io.readers.brats import label_scheme
from mriseg.io.readers.dicom_study import Study, studies_among

# What no DICOM is called, so that it need not be opened.
_OTHERS = (".tif", ".tiff", ".h5", ".json", ".csv", ".tsv", ".txt", ".png", ".jpg", ".zip", ".gz")


class DicomReader:
    """Series of DICOM files, whatever the files are called."""

    name = "dicom"
    summary = "DICOM: a study or a folder of studies, in files of any name"

    def matches(self, root: Path) -> bool:
        """Whether any file under ``root`` is DICOM; reads its first bytes."""
        return any(map(is_dicom, _files(root)))

    def find(self, root: Path, options: ReaderOptions) -> Listing:
        """The studies under ``root``.

        Raises:
            InputError: there is no DICOM.
            ConfigError: ``options.channels`` is given: headers tell the modalities.
        """
        options.refuse_channels(self.name, "the headers of its series tell the modalities")
        if not self.matches(root):
            raise InputError(f"no case in {root}: expected {self.summary}")
        if lacking := READING.missing():
            return Listing((), {}, {}, ((folders.text(root.resolve().name), lacking),))
        unused: dict[Path, str] = {}
        problems: dict[Path, str] = {}
        headers = headers_in(_files(root), unused, problems)
        if root.is_file() and headers and len(headers[0].slices) == 1 and not headers[0].mosaic:
            raise InputError(
                f"{root} is one slice of a series; give the folder that holds all of its files"
            )
        studies = studies_among(root, headers, problems)
        numbering, regions, labels = label_scheme([], options)
        cases, skipped, proposals = [], [], {}
        for study in studies:
            unused |= study.aside()
            problem = study.problem or study.refusal(root)
            if not problem:
                cases.append(study.case(root))
                continue
            skipped.append((study.name.case, problem))
            if rows := study.rows(root):
                proposals[study.name.case] = rows
        if not studies:
            skipped.append((folders.text(root.resolve().name), _no_study(unused, problems)))
        outside = {path: why for path, why in problems.items() if path not in _within(studies)}
        return Listing(
            tuple(sorted(cases, key=lambda case: case.name)),
            regions,
            labels,
            tuple(sorted(skipped)),
            _telling(studies),
            unused=unused | outside,
            proposals=proposals,
            numbering=numbering,
        )


READER = DicomReader()


def _no_study(unused: Mapping[Path, str], problems: Mapping[Path, str]) -> str:
    reasons = Counter([*unused.values(), *problems.values()])
    listed = "; ".join(f"{why} ({number})" for why, number in reasons.most_common(3))
    return f"none of its DICOM files is an image of MR that can be read: {listed}"


def _files(root: Path) -> Iterator[Path]:
    """The files that may be DICOM."""
    if root.is_file():
        yield root
        return
    for _, _, files in folders.walk(root):
        for path in files:
            if not is_image(path) and not path.name.lower().endswith(_OTHERS):
                yield path


def _telling(studies: Sequence[Study]) -> tuple[str, ...]:
    """A notice where the names of cases tell who the patient is."""
    telling = [
        study
        for study in studies
        if any(word in study.name.case.lower() for word in study.first.identifiers)
    ]
    if not telling:
        return ()
    return (
        f"the names of {counted(len(telling), 'case')}, from their folders, hold the patient's "
        f"name or ID; they enter stores and names of masks: rename the folders, or give other "
        f"names in a table of cases",
    )


def _within(studies: Iterable[Study]) -> set[Path]:
    return {path for study in studies for path in study.damaged}
