"""What each file of a folder is of, by its own name or else by its folder's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from mriseg.core.filenames import BRAIN_MASK, NameReading, common_words, read_name, words_of
from mriseg.core.modalities import MODALITIES, SEGMENTATION

Folder = tuple[str, ...]


@dataclass(frozen=True)
class NamedFile:
    """A file that may be an image or a segmentation.

    Attributes:
        path: where it is.
        folder: the folders that lead to it, below the one that was given.
        stem: its name without the ending.
        packed: whether it is gzipped.
    """

    path: PurePath
    folder: Folder
    stem: str
    packed: bool = False


@dataclass(frozen=True)
class Item:
    """A file whose name was read."""

    file: NamedFile
    reading: NameReading
    folder: Folder

    @property
    def role(self) -> str:
        """A canonical modality or "seg"."""
        return self.reading.role or ""

    @property
    def subject(self) -> tuple[str, ...]:
        """The words that say whom the file is of; empty where none do."""
        return words_of(self.reading.subject)


def read_files(files: Sequence[NamedFile], unused: dict[PurePath, str]) -> Iterable[Item]:
    """Each file with what its name, or else its folder's, says; in the folder where it counts."""
    by_folder: dict[Folder, list[NamedFile]] = {}
    for file in files:
        by_folder.setdefault(file.folder, []).append(file)
    for folder, inside in by_folder.items():
        common = common_words(file.stem for file in inside)
        own = read_name(folder[-1]) if folder else NameReading(None)
        pure = bool(own.role) and not own.subject and _says_nothing_else(folder[-1], own)
        items: list[Item] = []
        for file in inside:
            reading = _by_name_or_folder(file, common, own, pure, alone=len(inside) == 1)
            if reading.role is None:
                unused[file.path] = reading.reason
            else:
                items.append(Item(file, reading, folder))
        # A folder for a series, or for all files of a kind: what is in it belongs one level up.
        same = all(item.role == own.role for item in items)
        if items and same and (pure or len(inside) == 1):
            items = [replace(item, folder=folder[:-1]) for item in items]
        yield from items


def _by_name_or_folder(
    file: NamedFile, common: frozenset[str], own: NameReading, pure: bool, *, alone: bool
) -> NameReading:
    reading = read_name(file.stem, common)
    if own.reason == BRAIN_MASK and reading.role not in MODALITIES:
        return NameReading(None, reason=BRAIN_MASK)
    if pure and own.role == SEGMENTATION and reading.role in MODALITIES:
        # In labels/, pat1_FLAIR is the segmentation that was drawn on pat1's FLAIR.
        return NameReading(SEGMENTATION, reading.subject or file.stem)
    says_nothing = reading.role is None and reading.reason.startswith("its name states")
    if says_nothing and own.role and (pure or (alone and own.role in MODALITIES)):
        # pat1.nii.gz in labels/ is of pat1; image.nii.gz in pat1/T1/ names nobody.
        nobody = alone and own.role in MODALITIES
        return NameReading(own.role, "" if nobody else file.stem, copy=own.copy)
    return reading


def _says_nothing_else(name: str, reading: NameReading) -> bool:
    """Whether a folder's name is a role and nothing more, as labels/ and T1/ are."""
    return all(read_name(word).role == reading.role for word in words_of(name))
