"""Which slices are seen when: a pure function of the index, the configuration, seed and epoch.

Nothing is read here. A plan names slices; the store reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mriseg.core import rng
from mriseg.core.fingerprint import Fingerprint, alike
from mriseg.core.volume import SliceRef
from mriseg.errors import ConfigError


@dataclass(frozen=True)
class CaseEntry:
    """What is known of a case without reading its slices.

    Attributes:
        name: the case's name in the store.
        patient: who it is of.
        shape: slices, height and width as stored (z, y, x).
        modalities: those that the case has, in the store's order.
        foreground: voxels of each region in each slice, [z, r] int64; zeros if not labelled.
        labelled: whether it has a segmentation.
        content: a digest of its voxels; equal ones are the same scan.
        fingerprint: what it looks like; alike ones are the same scan, whatever their voxels.
    """

    name: str
    patient: str
    shape: tuple[int, int, int]
    modalities: tuple[str, ...]
    foreground: NDArray[np.int64]
    labelled: bool
    content: str = ""
    fingerprint: Fingerprint = ()


@dataclass(frozen=True)
class VolumeIndex:
    """The cases of a store, and what their channels and masks mean."""

    cases: tuple[CaseEntry, ...]
    modalities: tuple[str, ...]
    regions: dict[str, tuple[int, ...]]

    def __getitem__(self, name: str) -> CaseEntry:
        for case in self.cases:
            if case.name == name:
                return case
        raise KeyError(name)

    def only(self, names: Iterable[str]) -> VolumeIndex:
        """The index of the named cases alone."""
        wanted = set(names)
        kept = tuple(case for case in self.cases if case.name in wanted)
        return VolumeIndex(kept, self.modalities, self.regions)


@dataclass(frozen=True)
class Split:
    """Names of the cases for training and for validation, if any; no patient is in both."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


def patients(cases: Sequence[CaseEntry]) -> list[list[CaseEntry]]:
    """Cases grouped by patient, in order of first appearance.

    Cases that share a patient's name, whose voxels are the same or that look alike are one group,
    so that a scan under two names cannot sit on both sides of a split.
    """
    return _grouped(cases, [pair[:2] for pair in alike([case.fingerprint for case in cases])])


def lookalikes(cases: Sequence[CaseEntry]) -> list[tuple[CaseEntry, CaseEntry, float]]:
    """Pairs of cases that nothing but their looks makes one patient, and how alike they are.

    The user should know: their names say that they are two.
    """
    known = {
        case.name: number for number, group in enumerate(_grouped(cases, ())) for case in group
    }
    pairs = alike([case.fingerprint for case in cases])
    alikes = [(cases[pair.first], cases[pair.second], pair.similarity) for pair in pairs]
    return [item for item in alikes if known[item[0].name] != known[item[1].name]]


def _grouped(cases: Sequence[CaseEntry], pairs: Iterable[tuple[int, int]]) -> list[list[CaseEntry]]:
    """Cases by patient and content, and joined where one of ``pairs`` does, by first appearance."""
    if not cases:
        return []
    first: dict[tuple[str, str], int] = {}
    links = list(pairs)
    for number, case in enumerate(cases):
        for key in (("patient", case.patient), ("content", case.content)):
            if key[1]:
                links.append((first.setdefault(key, number), number))
    rows, columns = np.array(links, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(cases), len(cases)))
    _, labels = connected_components(graph, directed=False)
    groups: dict[int, list[CaseEntry]] = {}
    for label, case in zip(labels.tolist(), cases, strict=True):
        groups.setdefault(label, []).append(case)
    return list(groups.values())


def split(cases: Sequence[CaseEntry], fraction: float, seed: int) -> Split:
    """Put about ``fraction`` of the patients aside for validation.

    Patients are ordered by a digest of seed and name, so adding patients does not reshuffle the
    others. At least one patient is on each side, but that a fraction of 0 puts none aside.

    Raises:
        ConfigError: there are fewer than two patients.
    """
    if fraction == 0:
        return Split(tuple(sorted(case.name for case in cases)), ())
    groups = patients(cases)
    if len(groups) < 2:
        raise ConfigError(
            f"a split by patient needs two labelled patients, and there is {len(groups)}; "
            f"add cases to the store, or train without validation: --validation 0"
        )
    ordered = _shuffled(groups, seed, "split")
    held = min(max(round(fraction * len(groups)), 1), len(groups) - 1)
    validation = sorted(case.name for group in ordered[:held] for case in group)
    train = sorted(case.name for group in ordered[held:] for case in group)
    return Split(tuple(train), tuple(validation))


def split_by_name(cases: Sequence[CaseEntry], validation: Sequence[str]) -> Split:
    """Put the named cases aside for validation.

    Raises:
        ConfigError: a name is unknown, a patient would be on both sides, or one side is empty.
    """
    known = {case.name for case in cases}
    lacking = [name for name in validation if name not in known]
    if lacking:
        raise ConfigError(
            f"there is no usable labelled case {', '.join(lacking)}; "
            f"there are {', '.join(sorted(known))}"
        )
    for group in patients(cases):
        sides = {case.name in validation for case in group}
        if len(sides) > 1:
            raise ConfigError(
                f"{', '.join(case.name for case in group)} are of one patient (or one scan, by "
                f"their voxels or their looks), so they train or validate together; name all of "
                f"them or none"
            )
    train = sorted(known - set(validation))
    if not train or not validation:
        raise ConfigError(f"{len(train)} cases would train and {len(set(validation))} validate")
    return Split(tuple(train), tuple(sorted(set(validation))))


def folds(cases: Sequence[CaseEntry], count: int, seed: int) -> tuple[Split, ...]:
    """Deal the patients out to ``count`` folds, each of which validates once.

    A fold's ``validation`` are its own patients' cases, its ``train`` all others'. Patients are
    grouped as in `patients`, so each is in one fold only, and folds differ by one patient at most.

    Raises:
        ConfigError: there are fewer than two folds, or fewer patients than folds.
    """
    groups = patients(cases)
    if not 2 <= count <= len(groups):
        raise ConfigError(
            f"{len(groups)} labelled patients cannot be dealt out to {count} folds: choose from 2 "
            f"to {len(groups)}, or add cases to the store"
        )
    ordered = _shuffled(groups, seed, "folds")
    dealt = [
        {case.name for group in ordered[first::count] for case in group} for first in range(count)
    ]
    every = {case.name for case in cases}
    return tuple(Split(tuple(sorted(every - held)), tuple(sorted(held))) for held in dealt)


def subset(cases: Sequence[CaseEntry], count: int, seed: int) -> tuple[str, ...]:
    """The names of the cases of ``count`` patients, chosen by ``seed``.

    Subsets of one seed are nested: those of 5 patients are among those of 10, so that a curve over
    the number of patients shows what more of them add, not what others are.

    Raises:
        ConfigError: there are not so many patients.
    """
    groups = patients(cases)
    if not 1 <= count <= len(groups):
        raise ConfigError(f"{count} patients cannot be chosen from {len(groups)}")
    chosen = _shuffled(groups, seed, "subset")[:count]
    return tuple(sorted(case.name for group in chosen for case in group))


def _shuffled(groups: list[list[CaseEntry]], seed: int, kind: str) -> list[list[CaseEntry]]:
    """By a digest of seed and patient, so that adding patients does not reshuffle the others."""
    return sorted(groups, key=lambda g: rng.derive(seed, kind, min(c.patient for c in g)))


@dataclass(frozen=True)
class BatchPlan:
    """The slices of one batch, ordered by case and slice so that a chunk is opened once."""

    refs: tuple[SliceRef, ...]


def plan_epoch(
    index: VolumeIndex,
    *,
    regions: Sequence[str],
    batch_size: int,
    tumour_fraction: float,
    slices: int | None,
    seed: int,
    epoch: int,
    rank: int = 0,
    world: int = 1,
) -> list[BatchPlan]:
    """The batches of one epoch.

    Slices with any of ``regions`` and slices without are drawn so that the first make up
    ``tumour_fraction`` of each epoch. Every slice of a kind comes once before any comes again,
    across epochs as well (a fresh order each round), so nothing is left out by chance.

    Args:
        index: the cases to draw from; those without a segmentation are left out.
        regions: whose voxels make a slice count as positive.
        batch_size: slices per batch, on each rank.
        tumour_fraction: share of positive slices, 0 to 1.
        slices: slices per epoch over all ranks; None: so many that the positive slices come once.
        seed: of the training.
        epoch: counted from 0.
        rank: which of ``world`` processes asks; together they see the epoch once.
        world: how many processes train.

    Returns:
        Whole batches only, equally many for each rank.

    Raises:
        ConfigError: there is nothing to draw.
    """
    columns = [list(index.regions).index(region) for region in regions]
    positive: list[SliceRef] = []
    negative: list[SliceRef] = []
    for case in index.cases:
        if not case.labelled:
            continue
        hits = case.foreground[:, columns].sum(axis=1) > 0
        for z, hit in enumerate(hits.tolist()):
            (positive if hit else negative).append(SliceRef(case.name, z))
    if not positive and not negative:
        raise ConfigError("no labelled case is left to train on; add cases with a segmentation")

    share = tumour_fraction if positive and negative else float(bool(positive))
    step = batch_size * world
    if slices is None:
        slices = round(len(positive) / share) if positive and share else len(negative)
    count = max(1, round(slices / step)) * step
    wanted = round(count * share)
    drawn = _draw(positive, wanted, seed, "positive", epoch)
    drawn += _draw(negative, count - wanted, seed, "negative", epoch)
    order = rng.permutation(count, seed, "order", epoch)
    mine = [drawn[i] for i in order][rank::world]
    return [
        BatchPlan(tuple(sorted(mine[i : i + batch_size]))) for i in range(0, len(mine), batch_size)
    ]


def _draw(refs: list[SliceRef], count: int, seed: int, kind: str, epoch: int) -> list[SliceRef]:
    """``count`` of ``refs``: each epoch the next window of an endless run of shuffled rounds."""
    drawn: list[SliceRef] = []
    position = epoch * count
    while len(drawn) < count:
        turn, offset = divmod(position, len(refs))
        order = rng.permutation(len(refs), seed, kind, turn)
        taken = order[offset : offset + count - len(drawn)]
        drawn += [refs[i] for i in taken]
        position += len(taken)
    return drawn
