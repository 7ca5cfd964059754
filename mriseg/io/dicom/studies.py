"""What a folder of DICOM holds: its series, each with a guess of its modality."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mriseg.core.series import SeriesFacts, SeriesGuess, guess
from mriseg.core.wording import visible
from mriseg.errors import InputError
from mriseg.io.dicom.headers import DicomHeader, is_dicom, read_header

# Characters of a description that are shown.
_SHOWN = 64


@dataclass(frozen=True)
class Series:
    """The files of one volume.

    Attributes:
        headers: of its files, by path.
    """

    headers: tuple[DicomHeader, ...]

    @property
    def paths(self) -> tuple[Path, ...]:
        """Its files."""
        return tuple(header.path for header in self.headers)

    @cached_property
    def facts(self) -> SeriesFacts:
        """What a guess rests on, of all files together."""
        each = [header.facts for header in self.headers]
        return replace(
            each[0],
            contrast=next((facts.contrast for facts in each if facts.contrast), ""),
            diffusion=max(facts.diffusion for facts in each),
            slices=2 if self.headers[0].mosaic else sum(facts.slices for facts in each),
        )

    @cached_property
    def guess(self) -> SeriesGuess:
        """What it is taken for."""
        return guess(self.facts)

    @property
    def described(self) -> str:
        """It as its header calls it, and what the guess is: for a person, never for a record."""
        number = self.headers[0].number
        named = " ".join(visible(self.facts.description).split())[:_SHOWN]
        taken = self.guess
        why = taken.reason or f"{taken.modality} by {taken.rests_on}"
        return f'{"" if number is None else f"{number} "}"{named}": {why}'


def headers_in(
    files: Iterable[Path], unused: dict[Path, str], problems: dict[Path, str]
) -> list[DicomHeader]:
    """The headers of the images of MR among files.

    Args:
        files: any files.
        unused: gets those of DICOM that are no such image, with the reason.
        problems: gets those that are damaged, with the reason.
    """
    headers = []
    for path in files:
        if not is_dicom(path):
            continue
        try:
            header = read_header(path)
        except InputError as error:
            problems[path] = str(error)
            continue
        if header.kind:
            unused[path] = header.kind
        else:
            headers.append(header)
    return headers


def series_among(headers: Iterable[DicomHeader]) -> list[Series]:
    """Headers by the volumes that they are of, in the order of their numbers."""
    stacks: dict[object, list[DicomHeader]] = {}
    for header in sorted(headers, key=lambda header: header.path):
        stacks.setdefault(header.stack, []).append(header)
    series = [Series(tuple(each)) for each in stacks.values()]
    return sorted(series, key=lambda one: (one.headers[0].number or 0, one.paths[0]))


def notes_on(series: Mapping[str, Series], others: Sequence[Series], root: Path) -> dict[str, str]:
    """What the guesses were, by the columns of a table of cases, for a person to judge.

    Args:
        series: modality -> its series.
        others: that are set aside.
        root: what paths are relative to.
    """
    notes = {f"{modality} series": one.described for modality, one in series.items()}
    if others:
        listed = [f"{_relative(one.paths[0], root)} = {one.described}" for one in others]
        notes["other series"] = " | ".join(listed)
    return notes


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


class SeriesBook:
    """The series of folders, each folder read once."""

    def __init__(self) -> None:
        self._folders: dict[Path, list[Series]] = {}
        self._problems: dict[Path, str] = {}

    def series_of(self, path: Path) -> tuple[Path, ...]:
        """All files of the series that a file is of; they lie in its folder.

        Raises:
            InputError: it is not an image of MR, or is damaged.
        """
        header = read_header(path)
        if header.kind:
            raise InputError(f"{path.name} is {header.kind}")
        folder = path.parent
        if folder not in self._folders:
            files = sorted(file for file in folder.iterdir() if file.is_file())
            self._folders[folder] = series_among(headers_in(files, {}, self._problems))
        for series in self._folders[folder]:
            if series.headers[0].stack == header.stack:
                return series.paths
        raise InputError(f"{path.name} is in no series of its folder")
