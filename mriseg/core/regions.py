"""Regions: the named unions of label values that a network is trained to segment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.volume import Geometry
from mriseg.errors import ConfigError, InputError

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
    if len(regions) == 1:
        return np.asarray(masks[0], dtype=np.uint8)
    painted = np.zeros(masks.shape[1:], dtype=np.uint8)
    own = own_labels(regions)
    for index in painting_order(regions):
        painted[masks[index] > 0] = own[index]
    return painted


def own_labels(regions: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The label that `label_map` gives each region, in their order."""
    if len(regions) == 1:
        return (1,)
    labels = []
    for values in regions.values():
        others = {
            label for other in regions.values() if not set(other) >= set(values) for label in other
        }
        labels.append(min([label for label in values if label not in others] or values))
    return tuple(labels)


def region_numbers(
    labels: NDArray[np.uint8], regions: Mapping[str, tuple[int, ...]]
) -> NDArray[np.uint8]:
    """A label map as numbers of regions, the way a person draws them: region r is r + 1.

    A label that `label_map` gives no region stands for the smallest region that unites it.

    Args:
        labels: as `label_map` makes them, of any shape.
        regions: name -> the label values that it unites.

    Raises:
        InputError: a label is in no region.
    """
    table = np.zeros(256, np.int16)
    table[1:] = -1
    values, own = [*regions.values()], own_labels(regions)
    for index in painting_order(regions):
        table[[*values[index]]] = index + 1
    for index in painting_order(regions):
        table[own[index]] = index + 1
    numbers = table[labels]
    if numbers.size and numbers.min() < 0:
        unknown = sorted(set(np.unique(labels[numbers < 0]).tolist()))
        listed = join_labels(unknown[:_LONG]).replace("+", ", ")
        raise InputError(
            f"it holds labels of no region ({listed}); the regions are {_in_words(regions)}"
        )
    return numbers.astype(np.uint8)


def labels_of_numbers(
    numbers: NDArray[np.uint8], regions: Mapping[str, tuple[int, ...]]
) -> NDArray[np.uint8]:
    """The inverse of `region_numbers`: a label map as `label_map` makes it.

    Args:
        numbers: 0, and r + 1 for region r, of any shape.
        regions: name -> the label values that it unites.

    Raises:
        InputError: a number is of no region.
    """
    highest = int(numbers.max(initial=0))
    if highest > len(regions):
        raise InputError(
            f"it holds the label {highest}, and there are {len(regions)} regions: "
            f"{', '.join(regions)}"
        )
    return np.array([0, *own_labels(regions)], np.uint8)[numbers]


def region_volumes(
    labels: NDArray[np.uint8], regions: Mapping[str, tuple[int, ...]], geometry: Geometry
) -> dict[str, float]:
    """Region -> its volume in a label map as `label_map` makes it, as `Geometry.volume_of` has it.

    Args:
        labels: of any shape.
        regions: name -> the label values that it unites.
        geometry: of the scan.

    Raises:
        InputError: a label is in no region.
    """
    counts = np.bincount(region_numbers(labels, regions).reshape(-1), minlength=len(regions) + 1)
    inner = list(enumerate(regions.values(), start=1))
    return {
        name: geometry.volume_of(
            sum(int(counts[n]) for n, own in inner if set(own) <= set(values))
        ).value
        for name, values in regions.items()
    }


def painting_order(regions: Mapping[str, tuple[int, ...]]) -> list[int]:
    """The regions by place, in the order of painting: those with the most labels first."""
    sizes = [len(values) for values in regions.values()]
    return sorted(range(len(sizes)), key=lambda index: -sizes[index])


def _in_words(regions: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} ({described(values)})" for name, values in regions.items())
