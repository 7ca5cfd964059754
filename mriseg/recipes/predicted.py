"""The masks that a folder holds already: which are kept, which stand in the way; and new ones.

A mask that this model made of this scan with these settings is kept. What something else made, or
what was edited since (a correction), is never written over unless that is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mriseg.core.bids_output import BidsForm
from mriseg.core.wording import agreeing
from mriseg.errors import CaseError
from mriseg.io import nifti
from mriseg.io.disk.known_files import KnownFile
from mriseg.io.predictions import (
    MaskRecord,
    ModelName,
    Predictions,
    SkippedCase,
    put_in_place,
    read_predictions,
    record_path,
    update_predictions,
    written_files,
)
from mriseg.io.writers.names import probability_ending, series_ending
from mriseg.recipes.sources import Source

_MAP = probability_ending("")
# What is wrong with one file, and with several.
_UNKNOWN = (
    "is there already, and no record says that mriseg made it",
    "are there already, and no record says that mriseg made them",
)
_EDITED = ("was edited since mriseg wrote it", "were edited since mriseg wrote them")
# Files in a message.
_MAX_LISTED = 3
_WAY_OUT = "name another folder for the masks, or write over it with --overwrite"


@dataclass(frozen=True)
class Asked:
    """What a prediction was asked for.

    Attributes:
        source: the folder, file or store, as the user named it.
        model: what predicts.
        settings: as far as a mask depends on them, in JSON's types.
        maps: the regions of which probability maps are wanted.
        pictures: whether pictures are.
        endings: of further files that each mask has beside it.
        overwrite: whether other files may be written over.
        bids: the form of a BIDS derivative; None: masks lie side by side.
        every_series: whether each scan of a session gets a mask of its own.
    """

    source: str
    model: ModelName
    settings: Mapping[str, Any]
    maps: tuple[str, ...] = ()
    pictures: bool = False
    endings: tuple[str, ...] = ()
    overwrite: bool = False
    bids: BidsForm | None = None
    every_series: bool = False


@dataclass(frozen=True)
class Standing:
    """What is where a mask would be written.

    Attributes:
        kept: the record of a mask that needs nothing to be done; None: it is to be made.
        reason: why it may not be made there; empty: it may.
        foreign: probability maps of an unknown origin that would stay beside the new mask.
    """

    kept: MaskRecord | None = None
    reason: str = ""
    foreign: tuple[str, ...] = ()


class Masks:
    """A folder of masks, or a mask that is a file of its own, and what is known of it.

    Args:
        out: the folder or the file.
        asked: what is asked for.

    Raises:
        OutputError: its record is damaged, or a file of something else.
    """

    def __init__(self, out: Path, asked: Asked) -> None:
        self.asked = asked
        self.record = record_path(out)
        self._known = read_predictions(self.record, replaces_damaged=asked.overwrite)
        self._maps = _maps_in(self.record.parent)
        self._skipped: list[SkippedCase] = []

    def key(self, target: Path) -> str:
        """A mask's name in the record: its path from there."""
        return target.relative_to(self.record.parent).as_posix()

    def standing(self, target: Path, item: Source) -> Standing:
        """What is where the mask of a case would be written.

        Args:
            target: of the mask.
            item: the case.
        """
        record = self._known.masks.get(self.key(target))
        files = {file.name: file for file in record.files} if record else {}
        wanted = self._wanted(target, item)
        present = self._present(target, [*files, *wanted])
        edited = [name for name in present if name in files and _differs(files[name], target)]
        if record is not None and set(wanted) <= set(files) & set(present):
            is_whole = not set(edited) - {_picture(target)}
            if is_whole and not self._difference(record) and item.is_of(record.scan):
                return Standing(record)
        foreign = [name for name in present if name not in files]
        reason = ""
        if not self.asked.overwrite:
            reason = (
                _named(foreign, _UNKNOWN)
                or (record and target.name in present and self._other(record, target, item))
                or _named([name for name in edited if name in wanted], _EDITED)
            ) or ""
        left = tuple(name for name in foreign if name not in wanted)
        return Standing(None, f"{reason}; {_WAY_OUT}" if reason else "", left)

    def place(self, part: Path, target: Path, item: Source, record: MaskRecord) -> MaskRecord:
        """Move a mask and what belongs to it to their places, and write what made them.

        Args:
            part: the folder, beside ``target``, that they were written into.
            target: of the mask.
            item: the case.
            record: of the mask, but for its files.

        Returns:
            The record with its files.

        Raises:
            CaseError: something came to stand in the way meanwhile.
            OutputError: it cannot be written.
        """
        files = written_files(part, target)
        whole = replace(record, files=files)
        stale: list[str] = []

        def change(now: Predictions) -> Predictions:
            self._known = now
            standing = self.standing(target, item)
            if standing.reason:
                raise CaseError(record.case, standing.reason)
            stale.extend(self._stale(target, {file.name for file in files}))
            return self._with_skipped(now).with_mask(whole)

        self._update(change)
        put_in_place(part, target, files, stale)
        return whole

    def skip(self, case: str, reason: str) -> None:
        """Record that a case was skipped, now or with the first mask where there is none yet."""
        self._skipped.append(SkippedCase(case, self.asked.source, reason))
        if self.record.exists():
            self._update(self._with_skipped)

    def finish(self, kept: Sequence[str], unused: Mapping[str, str]) -> None:
        """Record what is left to be recorded.

        Args:
            kept: the cases whose masks were kept, for which an earlier reason to skip them is past.
            unused: image-like file of the source -> why it is in no case.
        """
        if not self.record.parent.is_dir():
            return

        def change(now: Predictions) -> Predictions:
            for case in kept:
                now = now.without_skipped(case, self.asked.source)
            return self._with_skipped(now).with_unused(self.asked.source, unused)

        self._update(change)

    def _update(self, change: Callable[[Predictions], Predictions]) -> None:
        update_predictions(self.record, change, replaces_damaged=self.asked.overwrite)

    def _with_skipped(self, now: Predictions) -> Predictions:
        for case in self._skipped:
            now = now.with_skipped(case)
        return now

    def _wanted(self, target: Path, item: Source) -> list[str]:
        """The names of the files that a case should have, the mask first."""
        stem = nifti.stem(target)
        pictures = [_picture(target)] if self.asked.pictures else []
        if self.asked.bids is not None:
            return [target.name, *self.asked.bids.beside(stem, self.asked.maps), *pictures]
        maps = [f"{stem}{probability_ending(region)}.nii.gz" for region in self.asked.maps]
        further = [f"{stem}{ending}" for ending in self.asked.endings]
        series = (item.modalities or ()) if self.asked.every_series else ()
        on_series = [f"{stem}{series_ending(modality)}.nii.gz" for modality in series]
        return [target.name, *maps, *on_series, *further, *pictures]

    def _present(self, target: Path, names: Sequence[str]) -> list[str]:
        """The files of a mask that exist: those of these names, and maps of any origin."""
        maps = self._maps.get(nifti.stem(target), [])
        if maps:
            # Another case may be called as this one's map.
            other = [r for name, r in self._known.masks.items() if name != self.key(target)]
            taken = {file.name for record in other for file in record.files}
            maps = [name for name in maps if name not in taken]
        return [n for n in dict.fromkeys([*names, *maps]) if target.with_name(n).exists()]

    def _stale(self, target: Path, new: set[str]) -> list[str]:
        """Files that an earlier prediction wrote beside its mask, and this one does not."""
        record = self._known.masks.get(self.key(target))
        return [
            file.name
            for file in (record.files if record else ())
            if file.name not in new and (self.asked.overwrite or not _differs(file, target))
        ]

    def _other(self, record: MaskRecord, target: Path, item: Source) -> str:
        """Why the mask at ``target`` is not the one that would be written there, or nothing."""
        if not item.is_of(record.scan):
            names = _listed([file.name for file in record.scan])
            return f"{target.name} is the mask of another scan ({names} in {record.source})"
        if _differs(record.files[0], target):
            return f"{target.name} was edited since mriseg wrote it, perhaps to correct it"
        difference = self._difference(record)
        return f"{target.name} was made {difference}" if difference else ""

    def _difference(self, record: MaskRecord) -> str:
        """How a mask was made otherwise, or nothing."""
        if record.model.digest != self.asked.model.digest:
            return f"by another model ({record.model.path})"
        before, now = record.settings, self.asked.settings
        others = [
            f"{name} {before.get(name)}, now {now.get(name)}"
            for name in dict.fromkeys([*before, *now])
            if before.get(name) != now.get(name)
        ]
        return f"with other settings ({_listed(others)})" if others else ""


def _maps_in(folder: Path) -> dict[str, list[str]]:
    """The probability maps in a folder, by the stem of their mask."""
    maps: dict[str, list[str]] = {}
    with suppress(OSError):
        for path in folder.iterdir():
            stem, separator, _ = path.name.rpartition(_MAP)
            if separator and nifti.is_nifti(path):
                maps.setdefault(stem, []).append(path.name)
    return maps


def _picture(target: Path) -> str:
    return f"{nifti.stem(target)}.png"


def _differs(file: KnownFile, target: Path) -> bool:
    """Whether a file beside ``target``, or itself, is not the recorded one; a missing one does not.

    A mask is always compared by its bytes: they are few, and corrections are precious.
    """
    path = target.with_name(file.name)
    known = replace(file, folder="") if file.name == target.name else file
    return path.exists() and not known.is_still(path)


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _MAX_LISTED
    return ", ".join(names[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _named(names: Sequence[str], what: tuple[str, str]) -> str:
    """A sentence about these files, if there are any."""
    return f"{_listed(names)} {agreeing(len(names), *what)}" if names else ""
