"""Regions: the named unions of label values that a network is trained to segment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.errors import ConfigError

Regions = dict[str, tuple[int, ...]]

# A run of so many label values is told by its ends.
_LONG = 6
# Names become parts of file names and of columns.
_NAME = re.compile(r"\w[\w .-]*")


def parse_regions(text: str, known: Mapping[str, tuple[int, ...]]) -> Regions:
    """Regions from "WT,TC", "lesion=1", "left=1+2,right=3", in the order given.

    Args:
        text: names of ``known`` regions, or ``name=label+label``, separated by commas.
        known: regions that the data layout names.

    Raises:
        ConfigError: a name is neither known nor defined, is given twice or is not a valid name.
    """
    regions: Regions = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, defined, values = (piece.strip() for piece in part.partition("="))
        if name in regions:
            raise ConfigError(f"the region {name!r} is named twice in {text!r}")
        if not defined:
            if name not in known:
                raise ConfigError(
                    f"there is no region {name!r}; known: {', '.join(known)}. "
                    f"Define another one by its labels, as in {name}=1+2"
                )
            regions[name] = tuple(known[name])
            continue
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{part!r}: a region's name may contain letters, digits, spaces and _ . -"
            )
        labels = values.split("+")
        if not all(value.strip().isdecimal() and 0 < int(value) < 256 for value in labels):
            raise ConfigError(f"{part!r}: labels are whole numbers from 1 to 255, as in {name}=1+2")
        regions[name] = tuple(sorted({int(value) for value in labels}))
    if not regions:
        raise ConfigError("no region was named; name at least one, such as WT")
    return regions


def join_labels(labels: Iterable[int]) -> str:
    """Label values as `parse_regions` reads them, such as "1+2+4"."""
    return "+".join(map(str, labels))


def described(labels: Sequence[int]) -> str:
    """Label values for people: "label 1", "labels 1+2+4", "labels 1 to 255"."""
    first, last = min(labels), max(labels)
    if len(labels) >= _LONG and sorted(labels) == list(range(first, last + 1)):
        return f"labels {first} to {last}"
    return f"{'label' if len(labels) == 1 else 'labels'} {join_labels(labels)}"


def region_masks(labels: NDArray[Any], regions: Mapping[str, tuple[int, ...]]) -> NDArray[np.uint8]:
    """A mask per region.

    Args:
        labels: integer labels [..., z, y, x].
        regions: name -> the label values that it unites; the order is that of the channels.

    Returns:
        uint8 0/1 masks [r, ..., z, y, x].
    """
    if labels.dtype != np.uint8:
        return np.stack([np.isin(labels, values) for values in regions.values()]).astype(np.uint8)
    # bytes.translate looks labels up faster than any numpy function.
    content = labels.tobytes()
    masks = [
        np.frombuffer(content.translate(bytes(v in values for v in range(256))), dtype=np.uint8)
        for values in regions.values()
    ]
    return np.stack(masks).reshape(len(masks), *labels.shape)


def label_map(masks: NDArray[Any], regions: Mapping[str, tuple[int, ...]]) -> NDArray[np.uint8]:
    """One label per voxel from masks [r, ...] of regions.

    A single region becomes 1. Of several, those with the most labels are painted first and the
    others over them, each with the lowest of its labels that is only in regions around it: WT, TC
    and ET of BraTS become 2, 1 and 4 as in its segmentations, and `region_masks` recovers nested
    regions. Where two regions overlap without one containing the other, the one with fewer labels
    wins, or else the later one.
    """
    painted = np.zeros(masks.shape[1:], dtype=np.uint8)
    if len(regions) == 1:
        return np.asarray(masks[0], dtype=np.uint8)
    names = list(regions)
    for name in sorted(names, key=lambda n: -len(regions[n])):
        others = {
            label
            for other in names
            if not set(regions[other]) >= set(regions[name])
            for label in regions[other]
        }
        own = [label for label in regions[name] if label not in others] or list(regions[name])
        painted[masks[names.index(name)] > 0] = min(own)
    return painted
