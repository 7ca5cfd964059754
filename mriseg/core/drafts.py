"""Which case a segmentation belongs to, where it does not lie beside the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from mriseg.core.filenames import words_of
from mriseg.core.patients import CaseName
from mriseg.core.scan_files import Folder, Item
from mriseg.core.wording import counted

MAX_LISTED = 3


@dataclass(frozen=True)
class Row:
    """A row of the table of cases: what a case would be read from.

    Attributes:
        name: the case, its patient and the visit.
        files: role -> file.
        notes: further column -> what a person who judges the row wants to know.
    """

    name: CaseName
    files: Mapping[str, PurePath]
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Draft:
    """A case that is being put together."""

    name: CaseName
    folder: Folder
    subject: tuple[str, ...]
    items: list[Item]
    notices: list[str] = field(default_factory=list)
    problem: str = ""
    rows: tuple[Row, ...] = ()
    bids: bool = False


def join_masks(drafts: Sequence[Draft], masks: Sequence[Item], unused: dict[PurePath, str]) -> None:
    """Give segmentations that lie apart from the images to the cases that they name."""
    for mask in masks:
        owners = _owners(drafts, mask)
        if len(owners) == 1:
            owners[0].items.append(mask)
        elif owners:
            listed = ", ".join(draft.name.case for draft in owners[:MAX_LISTED])
            unused[mask.file.path] = (
                f"a segmentation that may be of {counted(len(owners), 'case')} ({listed})"
            )
        else:
            unused[mask.file.path] = "a segmentation of no case"


def _owners(drafts: Sequence[Draft], mask: Item) -> list[Draft]:
    names = {"_".join(mask.subject), *("_".join(words_of(part)) for part in mask.folder[-1:])}
    names.discard("")
    by_name = [draft for draft in drafts if names & _names_of(draft)]
    if by_name:
        return by_name
    if mask.subject:
        # It names somebody: whose folder it lies in says nothing against that.
        named = ["_".join(words_of(part)) for part in mask.folder]
        if "_".join(mask.subject) not in named:
            below = [draft for draft in drafts if _nested(draft.folder, mask.folder)]
            return below if all(agree(d.subject, mask.subject) for d in below) else []
    return [draft for draft in drafts if _nested(draft.folder, mask.folder)]


def _nested(one: Folder, other: Folder) -> bool:
    shorter = min(len(one), len(other))
    return shorter > 0 and one[:shorter] == other[:shorter]


def _names_of(draft: Draft) -> set[str]:
    texts = [draft.name.case, *(draft.folder[-1:])]
    names = {"_".join(words_of(text)) for text in texts}
    return names | ({"_".join(draft.subject)} if draft.subject else set())


def agree(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether two subjects may be one: a name may be left out, or continue the other."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
