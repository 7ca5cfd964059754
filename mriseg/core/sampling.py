"""Which slices are trained on when: a pure function of the index, the settings, seed and epoch.

Nothing is read here. A plan names slices; the store reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mriseg.core import rng
from mriseg.core.epoch_plan import SLICES, EpochPlan
from mriseg.core.fingerprint import Fingerprint, Pair, alike
from mriseg.core.wording import counted
from mriseg.errors import ConfigError


@dataclass(frozen=True)
class CaseEntry:
    """What is known about a case without reading its slices.

    Attributes:
        name: the case's name in the store.
        patient: the patient's name; cases of one patient share it.
        shape: slices, height and width as stored (z, y, x).
        modalities: those that the case has, in the store's order.
        foreground: voxels of each region in each slice, [z, r] int64; zeros if not labelled.
        labelled: whether it has a segmentation.
        content: a digest of its voxels; equal digests mean the same scan.
        fingerprint: what it looks like; similar ones mean the same scan, whatever the voxels.
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
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, CaseEntry]:
        return {case.name: case for case in self.cases}

    def only(self, names: Iterable[str]) -> VolumeIndex:
        """The index of the named cases alone."""
        wanted = set(names)
        kept = tuple(case for case in self.cases if case.name in wanted)
        return VolumeIndex(kept, self.modalities, self.regions)


@dataclass(frozen=True)
class Split:
    """Names of the cases for training and (if any) for validation; no patient is in both."""

    train: tuple[str, ...]
    validation: tuple[str, ...]


def patients(cases: Sequence[CaseEntry]) -> list[list[CaseEntry]]:
    """Cases grouped by patient, in order of first appearance.

    Cases that share a patient's name, have the same voxels or look alike form one group, so that a
    scan under two names cannot be on both sides of a split.
    """
    return _grouped(cases, [pair[:2] for pair in _alike(cases)])


def lookalikes(cases: Sequence[CaseEntry]) -> list[tuple[CaseEntry, CaseEntry, float]]:
    """Pairs of cases that only their appearance groups as one patient, and their similarity.

    Users should be notified, since the names suggest two patients.
    """
    group_of = {
        case.name: number for number, group in enumerate(_grouped(cases, ())) for case in group
    }
    pairs = _alike(cases)
    similar = [(cases[pair.first], cases[pair.second], pair.similarity) for pair in pairs]
    return [item for item in similar if group_of[item[0].name] != group_of[item[1].name]]


def _alike(cases: Sequence[CaseEntry]) -> tuple[Pair, ...]:
    return _pairs(tuple(case.fingerprint for case in cases))


# A training asks three times of the same cases.
@lru_cache(maxsize=2)
def _pairs(fingerprints: tuple[Fingerprint, ...]) -> tuple[Pair, ...]:
    return tuple(alike(fingerprints))


def _grouped(cases: Sequence[CaseEntry], pairs: Iterable[tuple[int, int]]) -> list[list[CaseEntry]]:
    """Cases grouped by patient, by content and by ``pairs``, in order of first appearance."""
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
    """Hold out about ``fraction`` of the patients for validation.

    Patients are ordered by a digest of seed and name, so adding patients does not reshuffle the
    others. At least one patient is on each side, except that a fraction of 0 holds out none.

    Raises:
        ConfigError: there are fewer than two patients.
    """
    if fraction == 0:
        return Split(tuple(sorted(case.name for case in cases)), ())
    groups = patients(cases)
    if len(groups) < 2:
        raise ConfigError(
            f"a split by patient needs at least two labelled patients, not {len(groups)}; "
            f"add cases to the store, or train without validation: --validation 0"
        )
    ordered = _shuffled(groups, seed, "split")
    count = min(max(round(fraction * len(groups)), 1), len(groups) - 1)
    validation = sorted(case.name for group in ordered[:count] for case in group)
    train = sorted(case.name for group in ordered[count:] for case in group)
    return Split(tuple(train), tuple(validation))


def split_by_name(cases: Sequence[CaseEntry], validation: Sequence[str]) -> Split:
    """Hold out the named cases for validation.

    Raises:
        ConfigError: a name is unknown, a patient would be on both sides, or one side is empty.
    """
    known = {case.name for case in cases}
    lacking = [name for name in validation if name not in known]
    if lacking:
        raise ConfigError(
            f"there is no usable labelled case {', '.join(lacking)}; "
            f"the labelled cases are {', '.join(sorted(known))}"
        )
    for group in patients(cases):
        sides = {case.name in validation for case in group}
        if len(sides) > 1:
            raise ConfigError(
                f"{', '.join(case.name for case in group)} are of one patient (or one scan, by "
                f"their voxels or appearance), so they train or validate together; name all of "
                f"them or none"
            )
    train = sorted(known - set(validation))
    if not train or not validation:
        raise ConfigError(
            f"{counted(len(train), 'case')} would train and {len(set(validation))} validate; "
            f"both need at least one"
        )
    return Split(tuple(train), tuple(sorted(set(validation))))


def folds(cases: Sequence[CaseEntry], count: int, seed: int) -> tuple[Split, ...]:
    """Divide the patients into ``count`` folds, each of which is held out once.

    A fold's ``validation`` holds the cases of its own patients, its ``train`` all others. Patients
    are grouped as in `patients`, so each is in one fold only; fold sizes differ by at most one.

    Raises:
        ConfigError: there are fewer than two folds, or fewer patients than folds.
    """
    groups = patients(cases)
    if not 2 <= count <= len(groups):
        raise ConfigError(
            f"{len(groups)} labelled patients cannot be divided into {count} folds: choose from 2 "
            f"to {len(groups)}, or add cases to the store"
        )
    ordered = _shuffled(groups, seed, "folds")
    held_out = [
        {case.name for group in ordered[first::count] for case in group} for first in range(count)
    ]
    every = {case.name for case in cases}
    return tuple(Split(tuple(sorted(every - fold)), tuple(sorted(fold))) for fold in held_out)


def subset(cases: Sequence[CaseEntry], count: int, seed: int) -> tuple[str, ...]:
    """The names of the cases of ``count`` patients, chosen by ``seed``.

    Subsets with the same seed are nested: the 5 patients are among the 10, so that a curve over the
    number of patients shows the effect of adding patients, not of choosing others.

    Raises:
        ConfigError: there are fewer patients than that.
    """
    groups = patients(cases)
    if not 1 <= count <= len(groups):
        raise ConfigError(f"{count} patients cannot be chosen from {len(groups)}")
    chosen = _shuffled(groups, seed, "subset")[:count]
    return tuple(sorted(case.name for group in chosen for case in group))


def _shuffled(groups: list[list[CaseEntry]], seed: int, kind: str) -> list[list[CaseEntry]]:
    """Ordered by a digest of seed and patient, so that adding patients keeps the others' order."""
    return sorted(groups, key=lambda g: rng.derive(seed, kind, min(c.patient for c in g)))


def plan_epoch(
    index: VolumeIndex,
    *,
    regions: Sequence[str],
    batch_size: int,
    tumour_fraction: float,
    slices: int | None,
    seed: int,
    epoch: int,
) -> EpochPlan:
    """The batches of one epoch.

    Slices with any of ``regions`` (positive) and slices without (negative) are drawn so that
    ``tumour_fraction`` of each epoch is positive. Of each kind, every slice is drawn once before
    any is drawn again, also across epochs (each round in a new order), so none is left out by
    chance.

    Args:
        index: the cases to draw from; those without a segmentation are left out.
        regions: whose voxels make a slice count as positive.
        batch_size: slices per batch.
        tumour_fraction: share of positive slices, 0 to 1.
        slices: slices per epoch; None: as many as it takes to draw each positive slice once.
        seed: of the training.
        epoch: counted from 0.

    Returns:
        Complete batches only. Where several processes train together, each takes its `share`
        of each of them.

    Raises:
        ConfigError: there is no labelled case.
    """
    positive, negative = _by_content(index, regions)
    if not len(positive) and not len(negative):
        raise ConfigError("no labelled case is left to train on; add cases with a segmentation")

    share = tumour_fraction if len(positive) and len(negative) else float(len(positive) > 0)
    if slices is None:
        slices = round(len(positive) / share) if len(positive) and share else len(negative)
    count = max(1, round(slices / batch_size)) * batch_size
    positives = round(count * share)
    drawn = np.concatenate(
        [
            _draw(positive, positives, seed, "positive", epoch),
            _draw(negative, count - positives, seed, "negative", epoch),
        ]
    )
    ordered = drawn[rng.order(count, seed, "order", epoch)]
    names = sorted({case.name for case in index.cases})
    return EpochPlan(tuple(names), np.sort(ordered.reshape(-1, batch_size), axis=1))


def _by_content(
    index: VolumeIndex, regions: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The slices of labelled cases with any of ``regions``, and those without, as numbers."""
    columns = [list(index.regions).index(region) for region in regions]
    labelled = [case for case in index.cases if case.labelled]
    if not labelled:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    places = {name: at for at, name in enumerate(sorted({case.name for case in index.cases}))}
    hits = np.concatenate([case.foreground[:, columns].sum(axis=1) > 0 for case in labelled])
    slices = np.concatenate(
        [places[case.name] * SLICES + np.arange(len(case.foreground)) for case in labelled]
    )
    return slices[hits], slices[~hits]


def _draw(
    slices: NDArray[np.int64], count: int, seed: int, kind: str, epoch: int
) -> NDArray[np.int64]:
    """``count`` of ``slices``: for each epoch the next window of an endless series of shuffles."""
    drawn = [slices[:0]]
    position, lacking = epoch * count, count
    while lacking:
        shuffle, offset = divmod(position, len(slices))
        order = rng.order(len(slices), seed, kind, shuffle)
        drawn.append(slices[order[offset : offset + lacking]])
        position += len(drawn[-1])
        lacking -= len(drawn[-1])
    return np.concatenate(drawn)
