"""The segmentations of a BIDS data set: what their labels are, and a label map of each session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mriseg.core.bids import DESCRIPTION, read_bids
from mriseg.core.bids_labels import Regions, joined_regions, named_regions, read_lookup
from mriseg.core.bids_plan import BidsFile, Session
from mriseg.core.modalities import SEGMENTATION
from mriseg.core.tumour_labels import label_counts
from mriseg.core.wording import counted
from mriseg.errors import CaseError, InputError, reason_of
from mriseg.io import images as containers
from mriseg.io.disk.untrusted import read_text
from mriseg.io.readers import folders
from mriseg.io.readers.base import Numbering, RawCase, ReaderOptions
from mriseg.io.readers.brats import label_scheme
from mriseg.io.readers.loading import load_files, read_labels

_LOOKUP = "dseg.tsv"
# Folders between a label map and the root of its derivative: sub-, ses-, anat.
_MOST_LEVELS = 4


@dataclass(frozen=True)
class MaskScheme:
    """What the segmentations of a data set hold.

    Attributes:
        numbering: as in `mriseg.io.readers.Listing`.
        regions: name -> label values.
        labels: value -> its name.
        joined: the labels of masks that are joined, by their numbers; empty where each session's
            segmentation is one file.
        notices: what was assumed.
    """

    numbering: Numbering
    regions: Regions
    labels: Mapping[int, str]
    joined: tuple[str, ...] = ()
    notices: tuple[str, ...] = field(default=())


def scheme_of(sessions: Sequence[Session], options: ReaderOptions) -> MaskScheme:
    """What the labels of all sessions' segmentations are.

    Args:
        sessions: that can be read.
        options: may ask for the values as the files have them.

    Raises:
        InputError: some sessions have maps and others masks of one label; two tables of labels
            disagree; or a table cannot be read.
    """
    masks = [mask for session in sessions for mask in session.masks]
    maps = [mask for mask in masks if mask.is_map]
    if maps and len(maps) < len(masks):
        single = next(mask for mask in masks if not mask.is_map)
        raise InputError(
            f"{maps[0].path.name} holds several labels and {single.path.name} one; what the labels "
            f"of both mean is not known: name the folder of one kind with --labels"
        )
    if maps:
        return _of_maps([Path(mask.path) for mask in maps], options)
    labels = {mask.label for mask in masks}
    paths = [Path(mask.path) for mask in masks]
    by_name = label_scheme(paths, options)
    if "" in labels and len(labels) > 1:
        listed = ", ".join(sorted(labels - {""})[:3])
        raise InputError(
            f"some masks name a label ({listed}) and others, such as "
            f"{next(mask.path.name for mask in masks if not mask.label)}, do not"
        )
    if not labels or labels == {""} or (by_name[0] == "lesion" and len(labels) == 1):
        return MaskScheme(*by_name)
    ordered, regions, names = joined_regions(labels)
    if options.own_labels and len(ordered) > 1:
        raise InputError(
            f"regions are given by numbers, and each label has a mask of its own here "
            f"({', '.join(ordered)}): give regions by these names"
        )
    return MaskScheme("files", regions, names, tuple(ordered))


def _of_maps(paths: Sequence[Path], options: ReaderOptions) -> MaskScheme:
    lookups = {path: _lookup_of(path) for path in paths}
    tables = {table for table in lookups.values() if table is not None}
    if not tables:
        return MaskScheme(*label_scheme(paths, options))
    without = [path for path, table in lookups.items() if table is None]
    if without:
        raise InputError(
            f"{without[0].name} has no table of its labels ({_LOOKUP}), and others of the data set "
            f"have; add it"
        )
    read = {table: _read(table) for table in sorted(tables)}
    first, *others = read
    merged = dict(read[first])
    for table in others:
        for index, meaning in read[table].items():
            if merged.setdefault(index, meaning) != meaning:
                raise InputError(
                    f"label {index} is {merged[index][0]} by {first} and {meaning[0]} by {table}; "
                    f"expected one meaning in a data set"
                )
    regions, names = named_regions(merged)
    shown = ", ".join(f"{index} {name}" for index, name in sorted(names.items())[:6])
    more = ", ..." if len(names) > 6 else ""
    return MaskScheme("files", regions, names, (), (f"labels by {first.name}: {shown}{more}",))


def _read(table: Path) -> dict[int, tuple[str, tuple[str, ...]]]:
    try:
        return read_lookup(read_text(table), str(table))
    except (OSError, ValueError) as error:
        raise InputError(f"{table} cannot be read: {reason_of(error)}") from error


def _lookup_of(path: Path) -> Path | None:
    """The table of a map's labels: beside it or above, by the inheritance principle of BIDS."""
    name = read_bids(folders.text(containers.stem(path)))
    own = {} if name is None else name.entities
    folder = path.parent
    for _ in range(_MOST_LEVELS):
        fitting = []
        for table in sorted(folder.glob(f"*{_LOOKUP}")):
            parts = table.name.removesuffix(_LOOKUP).rstrip("_").split("_")
            pairs = [part.split("-", 1) for part in parts if part]
            if all(len(pair) == 2 and own.get(pair[0].lower()) == pair[1] for pair in pairs):
                fitting.append((len(pairs), table))
        if fitting:
            return max(fitting)[1]
        if (folder / DESCRIPTION).exists():
            return None
        folder = folder.parent
    return None


def load_session(
    name: str,
    images: Mapping[str, Path],
    masks: Sequence[tuple[str, Path]],
    scheme: MaskScheme,
    notices: tuple[str, ...],
) -> RawCase:
    """Read a session; masks of one label each are joined into a label map.

    Args:
        name: the case's.
        images: modality -> file.
        masks: label and file of each.
        scheme: what they hold.
        notices: what was assumed of its files.

    Raises:
        CaseError: a file cannot be used.
    """
    if not scheme.joined:
        files = {**images, **({SEGMENTATION: masks[0][1]} if masks else {})}
        loaded = load_files(name, files, scheme.numbering)
        return replace(loaded, notices=(*notices, *loaded.notices))
    loaded = load_files(name, images)
    notices = (*notices, *loaded.notices)
    if not masks:
        return replace(loaded, notices=notices)
    joined, grids = np.zeros(0, np.uint8), {}
    for label, path in masks:
        mask, _, accepted, on = read_labels(name, path, loaded.places, "files", ())
        grids[label] = on
        if len(set(grids.values())) > 1:
            where = ", ".join(f"{each} on that of {grid}" for each, grid in grids.items())
            raise CaseError(name, f"its masks are on different grids: {where}; bring them onto one")
        joined = joined if joined.size else np.zeros(mask.shape, np.uint8)
        joined[mask > 0] += np.uint8(2 ** scheme.joined.index(label))
        notices = (*notices, *accepted)
    drawn = [label for label, _ in masks]
    lacking = [label for label in scheme.joined if label not in drawn]
    why = f"it has no mask of {', '.join(lacking)}" if lacking else ""
    return replace(
        loaded,
        labels=joined,
        values=label_counts(joined),
        notices=notices,
        regions=tuple(drawn) if lacking else None,
        why_not=why,
        labels_on=grids[drawn[0]],
    )


def account_of(sessions: Sequence[Session]) -> tuple[str, ...]:
    """A notice that says where segmentations are read from, if there are any."""
    masks: list[BidsFile] = [mask for session in sessions for mask in session.masks]
    if not masks:
        return ()
    labelled = sum(bool(session.masks) for session in sessions)
    places = {mask.derivative for mask in masks}
    where = ", ".join(f"derivatives/{place}" if place else "the raw folders" for place in places)
    return (
        f"segmentations are read from {where}: of {labelled} of "
        f"{counted(len(sessions), 'session')}",
    )
