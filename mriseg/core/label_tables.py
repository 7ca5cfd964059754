"""What the labels of masks mean, as the label files of ITK-SNAP and 3D Slicer state it.

Formats: ITK-SNAP's label description file; Slicer's color table,
https://slicer.readthedocs.io/en/5.6/developer_guide/modules/colors.html.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from mriseg.core.regions import own_labels

Colour = tuple[int, int, int]

ITK_SNAP = "labels-itksnap.txt"
SLICER = "labels-slicer.ctbl"


class Label(NamedTuple):
    """A label of masks: its value, its name and its colour."""

    value: int
    name: str
    colour: Colour


def labels_of(regions: Mapping[str, tuple[int, ...]], colours: Sequence[Colour]) -> list[Label]:
    """The labels that `mriseg.core.regions.label_map` gives regions, by value.

    A region around smaller ones has its label where those are not, and its name says so.

    Args:
        regions: name -> the label values that it unites.
        colours: one for each region.
    """
    labels: dict[int, Label] = {}
    for region, value, colour in zip(regions, own_labels(regions), colours, strict=True):
        inside = _inside(region, regions)
        name = f"{region} outside {' and '.join(inside)}" if inside else region
        if value in labels:
            name = f"{labels[value].name} or {name}"
        labels[value] = Label(value, name, colour)
    return [labels[value] for value in sorted(labels)]


def _inside(region: str, regions: Mapping[str, tuple[int, ...]]) -> list[str]:
    """The largest regions that lie within a region."""
    smaller = [name for name, values in regions.items() if {*values} < {*regions[region]}]
    return [
        name
        for name in smaller
        if not any({*regions[name]} < {*regions[other]} for other in smaller)
    ]


def itk_snap_text(labels: Sequence[Label]) -> str:
    """Labels as a label description file of ITK-SNAP."""
    lines = [
        "# ITK-SnAP Label Description File, written by mriseg predict",
        "# index  red green blue  opacity  visible  in 3-D  name",
        '    0     0    0    0        0  0  0    "Clear Label"',
    ]
    for value, name, (red, green, blue) in labels:
        plain = name.replace('"', "'")
        lines.append(f'{value:5d} {red:5d} {green:4d} {blue:4d}        1  1  1    "{plain}"')
    return "\n".join([*lines, ""])


def slicer_text(labels: Sequence[Label]) -> str:
    """Labels as a color table of 3D Slicer; names have no spaces there."""
    lines = ["# Color table file, written by mriseg predict", f"# {len(labels) + 1} values"]
    lines.append("0 Background 0 0 0 0")
    for value, name, (red, green, blue) in labels:
        lines.append(f"{value} {re.sub(r'[^A-Za-z0-9_.-]+', '_', name)} {red} {green} {blue} 255")
    return "\n".join([*lines, ""])


def opening_lines(mask: str, start: str = "", scan: str = "SCAN") -> dict[str, str]:
    """Program -> the one line that opens a scan and its mask in it, with names and colours.

    Args:
        mask: its file.
        start: what the names of the label files begin with.
        scan: the scan's file.
    """
    table = f"slicer.util.loadColorTable('{start}{SLICER}').GetID()"
    return {
        "ITK-SNAP": f"itksnap -g {scan} -s {mask} -l {start}{ITK_SNAP}",
        "3D Slicer": (
            f"Slicer --python-code \"slicer.util.loadVolume('{scan}'); "
            f"slicer.util.loadSegmentation('{mask}', {{'colorNodeID': {table}}})\""
        ),
    }
