"""What the segmentations of a BIDS data set hold: masks of one label each, or maps of several.

Masks of one label may overlap. Joined into one label map, the mask of label number n (from 0) adds
2 to the power of n, so that each voxel's value says which masks it is in.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence

from mriseg.core.tumour_labels import TUMOUR_REGIONS
from mriseg.errors import InputError

Regions = dict[str, tuple[int, ...]]

FOREGROUND = "foreground"

_MOST_VALUES = 255
_TISSUES = {
    "TC": ("necrosis", "necrotic", "necroticcore", "ncr", "nonenhancing", "net", "ncrnet"),
    "ET": ("enhancing", "enhancingtumor", "enhancingtumour", "et"),
    "WT": ("edema", "oedema", "ed", "peritumoraledema", "peritumouraloedema"),
}
_TISSUES["TC"] += ("necroticandnonenhancing", "nonenhancingtumor", "nonenhancingtumour")


def joined_regions(labels: Iterable[str]) -> tuple[list[str], Regions, dict[int, str]]:
    """The labels of masks in the order of their numbers, and the regions of the joined map.

    Args:
        labels: values of ``label-``, of all sessions.

    Returns:
        The labels; region -> values of the joined map; value -> its name.
    """
    known = [name for name in TUMOUR_REGIONS if name in set(labels)]
    ordered = known + sorted(set(labels) - set(known))
    values = range(1, 2 ** len(ordered))
    regions = {
        label: tuple(value for value in values if value & 2**number)
        for number, label in enumerate(ordered)
    }
    names = {
        value: "+".join(label for n, label in enumerate(ordered) if value & 2**n)
        for value in values
    }
    return ordered, regions, names


def read_lookup(text: str, name: str) -> dict[int, tuple[str, tuple[str, ...]]]:
    """The labels that a ``_dseg.tsv`` names.

    Args:
        text: its content.
        name: of the file, for messages.

    Returns:
        Label -> its name; and the regions that it is in, where mriseg wrote the table.

    Raises:
        InputError: it has no columns ``index`` and ``name``, or an index that is no label.
    """
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), delimiter="\t"))
    lookup: dict[int, tuple[str, tuple[str, ...]]] = {}
    for row in rows:
        index, label = (row.get("index") or "").strip(), (row.get("name") or "").strip()
        if not index.isdecimal() or not label or int(index) > _MOST_VALUES:
            raise InputError(
                f"{name} is not a table of labels: expected columns index (0 to {_MOST_VALUES}) "
                f"and name, separated by tabs"
            )
        regions = [part.strip() for part in (row.get("regions") or "").split(",")]
        if int(index):
            lookup[int(index)] = (label, tuple(filter(None, regions)))
    if not lookup:
        raise InputError(f"{name} names no label but the background")
    return lookup


def named_regions(
    lookup: Mapping[int, tuple[str, tuple[str, ...]]],
) -> tuple[Regions, dict[int, str]]:
    """The regions and names of the labels in a table.

    Where mriseg wrote it, its own regions. Where every label is a tissue of BraTS by its name, WT,
    TC and ET. Else the foreground; and in all cases each label by its name.
    """
    names = {index: label for index, (label, _) in lookup.items()}
    regions: Regions = {}
    for index, (_, inside) in lookup.items():
        for region in inside:
            regions[region] = (*regions.get(region, ()), index)
    if not regions:
        regions = _of_tissues(names) or {FOREGROUND: tuple(sorted(names))}
    for index, label in sorted(names.items()):
        region = re.sub(r"[^\w .-]+", "-", label).strip(" .-")
        if region and region not in regions:
            regions[region] = (index,)
    return regions, names


def _of_tissues(names: Mapping[int, str]) -> Regions:
    """WT, TC and ET, if all labels are tissues of a tumour and all of them occur."""
    kinds: dict[int, str] = {}
    for index, label in names.items():
        plain = re.sub(r"[^a-z]", "", label.lower())
        kind = next((kind for kind, words in _TISSUES.items() if plain in words), "")
        if not kind:
            return {}
        kinds[index] = kind
    inside = {"WT": ("WT", "TC", "ET"), "TC": ("TC", "ET"), "ET": ("ET",)}
    regions = {
        region: tuple(sorted(index for index, kind in kinds.items() if kind in among))
        for region, among in inside.items()
    }
    return regions if all(regions.values()) else {}


def lookup_text(
    labels: Sequence[tuple[int, str, tuple[int, int, int]]], regions: Mapping[int, Sequence[str]]
) -> str:
    """A ``_dseg.tsv``: index, name, colour, and the regions that each label is in.

    Args:
        labels: value, name and colour of each.
        regions: value -> names.
    """
    lines = ["index\tname\tcolor\tregions"]
    for value, name, (red, green, blue) in labels:
        colour = f"#{red:02x}{green:02x}{blue:02x}"
        lines.append(f"{value}\t{name}\t{colour}\t{','.join(regions[value])}")
    return "\n".join([*lines, ""])
