"""A table of cases: CSV with a row per case, for files in any arrangement.

``case,patient,visit,T1,T1CE,T2,FLAIR,...,seg``, paths relative to the table. `mriseg inspect --csv`
writes it, a person or a script may edit it. ``patient`` and ``visit`` may be left out; every other
column is a modality. ``numbering`` says what the label values are: ``tumour`` (BraTS, by year),
``lesion``, or ``files`` (as the files have them); without it the columns and names decide.

A DICOM file stands for all files of its series in its folder. Columns whose names end in " series"
are notes of `mriseg inspect` for people, and are not read.

A row whose case begins with "?" is a proposal, which nobody has accepted yet: it is refused.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast, get_args

from mriseg.core.drafts import Row
from mriseg.core.filenames import read_name
from mriseg.core.modalities import MODALITIES, SEGMENTATION, canonical_modality
from mriseg.core.patients import patient_of
from mriseg.errors import InputError, reason_of
from mriseg.io.dicom.extra import READING
from mriseg.io.dicom.headers import is_dicom
from mriseg.io.dicom.studies import SeriesBook
from mriseg.io.disk.documents import write_csv
from mriseg.io.disk.untrusted import is_regular, read_text
from mriseg.io.images import is_image
from mriseg.io.readers import folders
from mriseg.io.readers.base import Case, Listing, Numbering, ReaderOptions
from mriseg.io.readers.brats import label_scheme
from mriseg.io.readers.loading import load_files
from mriseg.io.readers.nnunet import regions_from_files

SUFFIXES = (".csv", ".tsv")
PROPOSAL = "?"
"""What the case of a row begins with that nobody has accepted."""
NOTES = " series"
"""What a column's name ends in that is a note for people, and is not read."""
BETWEEN = " | "
"""Stands between candidates for one cell, of which a person must keep one."""

_CASE, _PATIENT, _VISIT, _NUMBERING = "case", "patient", "visit", "numbering"
_NUMBERINGS = get_args(Numbering)
# Characters of a cell that a message quotes, and of the longest name or path that is meant.
_QUOTED, _LONGEST = 60, 1000


class TableReader:
    """A table of cases, made by ``mriseg inspect``, by hand or by a script."""

    name = "table"
    summary = "a table of cases (cases.csv: case,patient,visit,T1,T1CE,T2,FLAIR,...,seg)"

    def matches(self, root: Path) -> bool:
        """Whether ``root`` is a file named .csv or .tsv."""
        return root.is_file() and root.name.lower().endswith(SUFFIXES)

    def find(self, root: Path, options: ReaderOptions) -> Listing:
        """The cases that the table names.

        Raises:
            InputError: it cannot be read, has no case, names one twice or names no file.
            ConfigError: ``options.channels`` is given: the columns name them.
        """
        if not self.matches(root):
            raise InputError(f"no case in {root}: expected {self.summary}")
        options.refuse_channels(self.name, "its columns name the modalities")
        rows = _rows(root)
        numbering, regions, labels = _scheme(root, rows, options)
        cases, skipped, book = [], [], SeriesBook()
        for row in rows:
            name = row[_CASE]
            try:
                cases.append(_case(root, row, numbering, options, book))
            except InputError as error:
                skipped.append((name, str(error)))
        cases.sort(key=lambda case: case.name)
        return Listing(tuple(cases), regions, labels, tuple(skipped), numbering=numbering)


READER = TableReader()


def write_table(
    path: Path, rows: Iterable[Row], proposals: Iterable[Row], numbering: Numbering
) -> None:
    """Write a table of cases.

    Args:
        path: where; the paths in it are relative to its folder.
        rows: of the cases.
        proposals: rows that a person has to accept.
        numbering: what the label values are.

    Raises:
        InputError: a file's name is not text.
        OutputError: it cannot be written.
    """
    both = [(row, "") for row in rows] + [(row, PROPOSAL) for row in proposals]
    roles = [*MODALITIES]
    roles += sorted({role for row, _ in both for role in row.files} - {*roles, SEGMENTATION})
    roles.append(SEGMENTATION)
    notes = dict.fromkeys(column for row, _ in both for column in row.notes)
    write_csv(
        path,
        [
            {
                _CASE: mark + row.name.case,
                _PATIENT: row.name.patient,
                _VISIT: row.name.visit,
                **{role: _cell(row.files, role, path.parent) for role in roles},
                _NUMBERING: numbering,
                **{column: row.notes.get(column, "") for column in notes},
            }
            for row, mark in both
        ],
    )


def _cell(files: Mapping[str, object], role: str, base: Path) -> str:
    if role not in files:
        return ""
    path = str(Path(str(files[role])).absolute())
    if path != folders.text(path):
        raise InputError(
            f"{folders.text(path)} has a name that is not text; rename it to have it in a table"
        )
    try:
        return Path(os.path.relpath(path, base)).as_posix()
    except ValueError:  # Another drive.
        return path


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows as a mapping of columns, with names as they should be."""
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {reason_of(error)}") from error
    except ValueError as error:
        raise InputError(f"{path} is not a table of cases ({reason_of(error)})") from error
    try:
        lines = list(csv.reader(io.StringIO(text), delimiter=_delimiter(text)))
    except csv.Error as error:
        raise InputError(f"{path} is not a table of cases ({error})") from error
    lines = [[cell.strip() for cell in line] for line in lines if any(map(str.strip, line))]
    notes = [n for n, name in enumerate(lines[0] if lines else []) if name.lower().endswith(NOTES)]
    lines = [[cell for n, cell in enumerate(line) if n not in notes] for line in lines]
    if any(len(cell) > _LONGEST for line in lines for cell in line):
        raise InputError(
            f"{path} has a cell of more than {_LONGEST} characters, which is neither a name nor a "
            f"path"
        )
    columns = _columns(path, lines[0] if lines else [])
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        if len(line) > len(columns):
            raise InputError(
                f"{path}: row {number} has {len(line)} cells and the header {len(columns)}"
            )
        rows.append(dict(zip(columns, line, strict=False)))
    _check_names(path, rows)
    return rows


def _delimiter(text: str) -> str:
    """Spreadsheets write commas, semicolons or tabs, by the country that they are set to."""
    header = text.lstrip().split("\n", 1)[0]
    return max(",;\t", key=header.count)


def _columns(path: Path, header: Sequence[str]) -> list[str]:
    columns = [_column(name) for name in header]
    if _CASE not in columns:
        raise InputError(
            f"{path} has no column {_CASE!r}; expected a header such as "
            f"case,patient,visit,T1,T1CE,T2,FLAIR,seg"
        )
    doubled = sorted({name for name in columns if columns.count(name) > 1})
    if doubled or "" in columns:
        what = (
            f"two columns for {doubled[0][:_QUOTED]}"
            if doubled and doubled[0]
            else "a column of no name"
        )
        raise InputError(f"{path} has {what}; expected each once")
    if not set(columns) - {_CASE, _PATIENT, _VISIT, _NUMBERING, SEGMENTATION}:
        raise InputError(f"{path} has no column of a modality, such as T1 or FLAIR")
    return columns


def _column(name: str) -> str:
    if name.lower() in (_CASE, _PATIENT, _VISIT, _NUMBERING):
        return name.lower()
    reading = read_name(name)
    return SEGMENTATION if reading.role == SEGMENTATION else canonical_modality(name)


def _check_names(path: Path, rows: Sequence[Mapping[str, str]]) -> None:
    if not rows:
        raise InputError(f"{path} has no row; expected one per case")
    names = [row.get(_CASE, "") for row in rows]
    if "" in names:
        raise InputError(f"{path}: row {names.index('') + 2} names no case")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InputError(
            f"{path} names the case {doubled[0][:_QUOTED]} twice; expected one row per case"
        )
    strange = sorted({row[_NUMBERING] for row in rows if row.get(_NUMBERING)} - {*_NUMBERINGS})
    if strange:
        shown = strange[0][:_QUOTED]
        raise InputError(
            f"{path}: {shown!r} in the column {_NUMBERING}; expected {', '.join(_NUMBERINGS)}"
        )
    if len({row[_NUMBERING] for row in rows if row.get(_NUMBERING)}) > 1:
        raise InputError(f"{path} has more than one {_NUMBERING}; make a store of each")


def _scheme(
    path: Path, rows: Sequence[Mapping[str, str]], options: ReaderOptions
) -> tuple[Numbering, dict[str, tuple[int, ...]], dict[int, str]]:
    stated = {row[_NUMBERING] for row in rows if row.get(_NUMBERING)}
    files = [_path(path, row[SEGMENTATION]) for row in rows if row.get(SEGMENTATION)]
    readable = [file for file in files if is_regular(file)]
    if not stated:
        if not any(row.get(name) for row in rows for name in MODALITIES):
            return "files", *regions_from_files(readable)
        return label_scheme(files, options)
    numbering = cast("Numbering", stated.pop())
    if numbering == "lesion":
        return numbering, {"lesion": (1,)}, {1: "lesion"}
    if numbering == "files" or options.own_labels:
        return "files", *regions_from_files(readable)
    return label_scheme([], options)


def _case(
    path: Path,
    row: Mapping[str, str],
    numbering: Numbering,
    options: ReaderOptions,
    book: SeriesBook,
) -> Case:
    name = row[_CASE]
    if name.startswith(PROPOSAL):
        raise InputError(
            f"its row is a proposal: check it, and remove the {PROPOSAL} before its name to accept"
        )
    columns = [c for c in row if c not in (_CASE, _PATIENT, _VISIT, _NUMBERING) and row[c]]
    if not options.segmentations:
        columns = [column for column in columns if column != SEGMENTATION]
    files: dict[str, Path] = {}
    for column in columns:
        if BETWEEN in row[column]:
            raise InputError(f"its {column} names two candidates ({row[column]}); keep one")
        files[column] = _path(path, row[column])
        if not is_regular(files[column]):
            raise InputError(
                f"its {column}, {row[column]}, is not there (of the table {path.name})"
            )
    if not set(files) - {SEGMENTATION}:
        raise InputError("its row names no image")
    sources = {role: _source(role, file, book) for role, file in files.items()}
    doubled = [role for role, each in sources.items() if [*sources.values()].count(each) > 1]
    if doubled:
        raise InputError(f"its {' and '.join(doubled)} name the same file or series")
    patient, visit = patient_of(name)
    return Case(
        name=name,
        patient=row.get(_PATIENT) or patient,
        sources={r: each if isinstance(each, tuple) else (each,) for r, each in sources.items()},
        load=partial(load_files, name, sources, numbering),
        visit=row.get(_VISIT) or ("" if row.get(_PATIENT) else visit),
    )


def _source(role: str, file: Path, book: SeriesBook) -> Path | tuple[Path, ...]:
    """A file, or the files of the DICOM series that it stands for."""
    if is_image(file) or not is_dicom(file):
        return file
    if lacking := READING.missing():
        raise InputError(f"its {role} is DICOM, and {lacking}")
    return book.series_of(file)


def _path(table: Path, cell: str) -> Path:
    path = Path(cell).expanduser()
    return path if path.is_absolute() else table.parent / path
