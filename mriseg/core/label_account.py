"""What became of the labels of segmentations: each value is in a region, renumbered, or named."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mriseg.core.wording import counted
from mriseg.errors import InputError

WHITE = 255
"""What programs for pictures write for "yes"."""

_MAX_NAMED = 3


@dataclass(frozen=True)
class CaseLabels:
    """The labels of one case.

    Attributes:
        case: its name.
        values: the file's own labels -> how many voxels have each.
        renamed: the file's own label -> the one that mriseg gives it, of those that change.
        regions: region -> how many voxels are in it.
    """

    case: str
    values: Mapping[int, int] = field(default_factory=dict)
    renamed: Mapping[int, int] = field(default_factory=dict)
    regions: Mapping[str, int] = field(default_factory=dict)


def in_regions(
    values: Mapping[int, int], renamed: Mapping[int, int], regions: Mapping[str, tuple[int, ...]]
) -> dict[str, int]:
    """How many voxels are in each region.

    Args:
        values: the file's own labels -> how many voxels have each.
        renamed: the file's own label -> the canonical one.
        regions: name -> canonical labels.
    """
    canonical: dict[int, int] = {}
    for value, count in values.items():
        label = renamed.get(value, value)
        canonical[label] = canonical.get(label, 0) + count
    return {
        name: sum(canonical.get(label, 0) for label in labels) for name, labels in regions.items()
    }


def white_label(values: Iterable[int], regions: Mapping[str, tuple[int, ...]]) -> int | None:
    """The label that 255 stands for in a segmentation of 0 and 255, or None if it is none.

    Raises:
        InputError: there are several regions, and nothing says which of them is meant.
    """
    if set(values) != {WHITE} or any(WHITE in labels for labels in regions.values()):
        return None
    if len(regions) > 1:
        raise InputError(
            f"its segmentation is of 0 and 255, which does not tell {' from '.join(regions)}; "
            f"name one region, as with --regions {next(iter(regions))}"
        )
    return min(next(iter(regions.values())))


def label_notices(
    cases: Iterable[CaseLabels],
    regions: Mapping[str, tuple[int, ...]],
    names: Mapping[int, str],
) -> list[str]:
    """What to say about the labels of all cases: renumbered, in no region, a region without any.

    Args:
        cases: those with a segmentation.
        regions: name -> canonical labels.
        names: canonical label -> what it is of, where known.
    """
    cases = list(cases)
    return [
        *_renumbered(cases, names),
        *_in_no_region(cases, regions, names),
        *_empty(cases, regions),
    ]


def _renumbered(cases: list[CaseLabels], names: Mapping[int, str]) -> Iterable[str]:
    by_change: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for case in cases:
        if case.renamed:
            by_change.setdefault(tuple(sorted(case.renamed.items())), []).append(case.case)
    for change, of in by_change.items():
        text = ", ".join(f"{old} is {new}{_named(new, names)}" for old, new in change)
        yield (
            f"labels of {_cases(of)} are renumbered as mriseg numbers BraTS of all years: {text} "
            f"(numbers in --regions, as in NAME=3, mean the files' own)"
        )


def _in_no_region(
    cases: list[CaseLabels], regions: Mapping[str, tuple[int, ...]], names: Mapping[int, str]
) -> Iterable[str]:
    wanted = {label for labels in regions.values() for label in labels}
    voxels: dict[int, int] = {}
    of: dict[int, list[str]] = {}
    for case in cases:
        for value, count in case.values.items():
            label = case.renamed.get(value, value)
            if label not in wanted:
                voxels[value] = voxels.get(value, 0) + count
                of.setdefault(value, []).append(case.case)
    for value, count in sorted(voxels.items()):
        yield (
            f"label {value}{_named(value, names)} is in no region: "
            f"{counted(count, 'voxel')} of {_cases(of[value])}"
        )


def _empty(cases: list[CaseLabels], regions: Mapping[str, tuple[int, ...]]) -> Iterable[str]:
    for name, labels in regions.items():
        if cases and not any(case.regions.get(name, 0) for case in cases):
            listed = "+".join(map(str, labels[:6])) + ("+..." if len(labels) > 6 else "")
            yield (
                f"the region {name} (label {listed}) is empty in "
                f"{'every case' if len(cases) > 1 else cases[0].case}"
            )


def _named(label: int, names: Mapping[int, str]) -> str:
    return f" ({names[label]})" if label in names else ""


def _cases(names: list[str]) -> str:
    shown = ", ".join(names[:_MAX_NAMED])
    return f"{counted(len(names), 'case')} ({shown}{', ...' if len(names) > _MAX_NAMED else ''})"
