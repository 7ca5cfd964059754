"""The plan of a training, before its first step: channels, regions, split, frame, imbalance.

Everything that cannot work is refused here, at once, rather than after an hour.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mriseg import __version__
from mriseg.core.calibration import Calibration
from mriseg.core.config import DEFAULT_MODALITIES, TrainConfig
from mriseg.core.epoch_plan import EpochPlan
from mriseg.core.imbalance import prior_calibrations
from mriseg.core.losses import parse_loss
from mriseg.core.modalities import modalities_among
from mriseg.core.regions import Regions
from mriseg.core.resampling import differs, spacing_of
from mriseg.core.sampling import (
    CaseEntry,
    Split,
    VolumeIndex,
    lookalikes,
    patients,
    plan_epoch,
    split,
    split_by_name,
)
from mriseg.core.task import Task
from mriseg.core.volume import Spacing
from mriseg.core.wording import agreeing, counted, pixel_size
from mriseg.errors import ConfigError, InputError
from mriseg.io.cross_validations import GivenCalibration
from mriseg.io.store import Store, frame_for

_MAX_LISTED = 5  # pairs of cases that look alike, by name


@dataclass(frozen=True)
class Setup:
    """The plan of a training.

    Attributes:
        config: all that was asked for.
        index: the cases that take part, all of them labelled.
        task: what the network reads and segments, and the frame of a training slice.
        split: which cases train and which validate.
        incomplete: whether a training case lacks one of the modalities.
        unit: "mm" or "px".
        positive_share: per region, its expected share of a sampled batch's voxels.
        notices: what the user should know of these choices.
        given: a calibration that patients left out have measured; None: there is none.
    """

    config: TrainConfig
    index: VolumeIndex
    task: Task
    split: Split
    incomplete: bool
    unit: str
    positive_share: tuple[float, ...]
    notices: tuple[str, ...]
    given: GivenCalibration | None = None

    def plan(self, epoch: int) -> EpochPlan:
        """The batches of an epoch, counted from 0."""
        config = self.config
        return plan_epoch(
            self.index.only(self.split.train),
            regions=tuple(self.task.regions),
            batch_size=config.batch_size,
            tumour_fraction=config.tumour_fraction,
            slices=config.slices_per_epoch,
            seed=config.seed,
            epoch=epoch,
        )

    @property
    def width(self) -> int:
        """Of the network, once it is chosen (`mriseg.recipes.width`)."""
        if self.config.width is None:
            raise AssertionError("the width of this training has not been chosen")
        return self.config.width

    @property
    def prior_calibrations(self) -> dict[str, Calibration]:
        """Region -> what holds where too few patients validate to measure a calibration."""
        if self.given is not None:
            return dict(self.given.calibrations)
        return prior_calibrations(self.config, self.task.regions, self.positive_share)

    @property
    def prior(self) -> float:
        """The share of positive voxels that a head expects at first, over all regions."""
        return sum(self.positive_share) / len(self.positive_share)


def plan_training(
    store: Store,
    config: TrainConfig,
    chosen: Split | None = None,
    *,
    source: Sequence[str] = (),
) -> Setup:
    """Plan a training of ``config`` on ``store``.

    Args:
        store: the store.
        config: of the training.
        chosen: the split of a run that resumes; None: a new one.
        source: of a transfer: the modalities that its source reads, which are kept where
            ``config`` names none.

    Raises:
        InputError: the store is empty, or nothing in it is labelled.
        ConfigError: a modality or region is asked for that the store lacks, the loss is not
            known, or there are too few patients to split.
    """
    parse_loss(config.loss)
    index = store.index()
    if not index.cases:
        raise InputError(f"{store.location} holds no case; preprocess some scans into it first")
    modalities, regions, notices = _channels(
        store, index, config, source, resumes=chosen is not None
    )
    usable, more = _usable_cases(store, index, modalities, config)
    notices += [*store.remarks(), *more]
    split = chosen or _split(usable, config)
    missing = {*split.train, *split.validation} - {case.name for case in usable}
    if missing:
        raise InputError(
            f"{store.location} lacks cases that this run was started with: "
            f"{', '.join(sorted(missing))}"
        )
    index = index.only(case.name for case in usable)
    train = index.only(split.train)
    frame = frame_for(case.shape for case in train.cases)
    if config.size is not None:
        frame = (min(frame[0], config.size[0]), min(frame[1], config.size[1]))
    spacing, more = _spacing(store, split.train)
    notices += more
    return Setup(
        config=config,
        index=index,
        task=Task(modalities, regions, frame, spacing),
        split=split,
        incomplete=any(set(modalities) - set(case.modalities) for case in train.cases),
        unit=store.geometry(train.cases[0].name).unit,
        positive_share=_sampled_share(train, regions, frame, config.tumour_fraction),
        notices=tuple(notices),
    )


def _channels(
    store: Store,
    index: VolumeIndex,
    config: TrainConfig,
    source: Sequence[str],
    *,
    resumes: bool,
) -> tuple[tuple[str, ...], Regions, list[str]]:
    """Modalities and regions of the training, and what to say of them."""
    try:
        modalities, notices = _modalities(index, config, source)
        return modalities, _regions(index, config), notices
    except ConfigError as error:
        if not resumes:
            raise
        raise InputError(
            f"{store.location} is not the store that this run was started on, nor like it: "
            f"{str(error).partition(':')[0].partition('. ')[0]}; name that store, or one of the "
            f"same scans"
        ) from None


def _usable_cases(
    store: Store, index: VolumeIndex, modalities: tuple[str, ...], config: TrainConfig
) -> tuple[list[CaseEntry], list[str]]:
    """The labelled cases that can take part, and what to say of the others."""
    labelled = [case for case in index.cases if case.labelled]
    notices: list[str] = []
    if not labelled:
        raise InputError(
            f"none of the cases in {store.location} ({counted(len(index.cases), 'case')}) has a "
            f"segmentation to learn from; preprocess scans that have one"
        )
    unlabelled = len(index.cases) - len(labelled)
    if unlabelled:
        have = agreeing(unlabelled, "has", "have")
        notices.append(f"{counted(unlabelled, 'case')} {have} no segmentation: not used")
    labelled, excluded = _without(labelled, config.exclude, index)
    notices += excluded
    if not labelled:
        raise ConfigError(f"every labelled case of {store.location} is excluded: exclude fewer")
    usable, incomplete = _usable(labelled, modalities, config)
    notices += incomplete
    if not usable:
        raise InputError(
            f"no labelled case in {store.location} has the modalities {', '.join(modalities)}; "
            f"choose others with --modalities: it has {', '.join(index.modalities)}"
        )
    return usable, notices + _alike(usable)


def versions() -> dict[str, str]:
    """Of mriseg and what its numbers depend on."""
    return {
        "mriseg": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _split(cases: Sequence[CaseEntry], config: TrainConfig) -> Split:
    if config.validation_cases is not None:
        return split_by_name(cases, config.validation_cases)
    return split(cases, config.validation, config.seed)


def _without(
    cases: list[CaseEntry], names: Sequence[str], index: VolumeIndex
) -> tuple[list[CaseEntry], list[str]]:
    """``cases`` without the named ones and others of the same patients."""
    if not names:
        return cases, []
    lacking = set(names) - {case.name for case in index.cases}
    if lacking:
        raise ConfigError(
            f"cannot exclude {', '.join(sorted(lacking))}: the store has no such case"
        )
    gone = {
        case.name
        for group in patients(index.cases)
        if any(case.name in names for case in group)
        for case in group
    }
    notice = [f"excluded, with all of their patients' cases: {', '.join(sorted(gone))}"]
    return [case for case in cases if case.name not in gone], notice if gone else []


def _alike(cases: list[CaseEntry]) -> list[str]:
    pairs = lookalikes(cases)
    notices = [
        f"{a.name} and {b.name} look like the same scan (similarity {how:.2f}), so they stay on "
        f"one side of a split"
        for a, b, how in pairs[:_MAX_LISTED]
    ]
    more = len(pairs) - len(notices)
    return notices + [f"so do {more} more pairs of cases"] * (more > 0)


def _modalities(
    index: VolumeIndex, config: TrainConfig, source: Sequence[str]
) -> tuple[tuple[str, ...], list[str]]:
    """What the network reads; and what to say of modalities that nobody chose to leave out."""
    if config.modalities is not None:
        return modalities_among(config.modalities, index.modalities, "the store has"), []
    wanted = tuple(source or DEFAULT_MODALITIES)
    lacking = [name for name in wanted if name not in index.modalities]
    kept = tuple(name for name in wanted if name in index.modalities)
    # A source's channels hold what was learnt from each; the usual ones are the usual ones alone.
    if not kept or (lacking and not source):
        whose = f"{'+'.join(wanted)}{', which the source reads' if source else ''}"
        return index.modalities, [
            f"the store lacks {'all' if not kept else 'some'} of {whose}, so all it has are used: "
            f"{'+'.join(index.modalities)}"
        ]
    notices = []
    if lacking:
        be = agreeing(len(lacking), "is", "are")
        notices.append(
            f"{', '.join(lacking)}, which the source reads, {be} in no case of the store and so "
            f"left out"
        )
    unused = [name for name in index.modalities if name not in kept]
    if unused:
        be, them = agreeing(len(unused), "is", "are"), agreeing(len(unused), "it", "them")
        notices.append(
            f"{', '.join(unused)}, which the store has, {be} not used; add {them} with "
            f"--modalities {','.join(index.modalities)}"
        )
    return kept, notices


def _regions(index: VolumeIndex, config: TrainConfig) -> Regions:
    names = config.regions or tuple(index.regions)
    lacking = [name for name in names if name not in index.regions]
    if lacking:
        raise ConfigError(
            f"the store has no region {', '.join(lacking)}; it has {', '.join(index.regions)}. "
            f"Preprocess again with --regions to make others"
        )
    return {name: index.regions[name] for name in names}


def _usable(
    cases: list[CaseEntry], modalities: tuple[str, ...], config: TrainConfig
) -> tuple[list[CaseEntry], list[str]]:
    lacking = {name: [c for c in cases if name not in c.modalities] for name in modalities}
    reason = ", ".join(
        f"{len(few)} {agreeing(len(few), 'lacks', 'lack')} {name}"
        for name, few in lacking.items()
        if few
    )
    if not reason:
        return cases, []
    if config.missing == "skip":
        complete = [case for case in cases if set(modalities) <= set(case.modalities)]
        return complete, [f"of {counted(len(cases), 'case')} {reason}: not used"]
    some = [case for case in cases if set(modalities) & set(case.modalities)]
    of_all = f"of {counted(len(cases), 'case')}"
    return some, [f"{of_all} {reason}: the channel reads 0, the brain's mean, there"]


def _spacing(store: Store, names: Sequence[str]) -> tuple[Spacing | None, list[str]]:
    """The pixel size of the training cases, and what to say of those that have another."""
    geometries = [store.geometry(name) for name in names]
    spacing = spacing_of(geometries)
    if spacing is None:
        return None, []
    count = sum(g.unit == "mm" and differs(g.spacing[1:], spacing) for g in geometries)
    have = agreeing(count, "has", "have")
    return spacing, [
        f"of {counted(len(names), 'training case')} {count} {have} pixels that differ by more than "
        f"a fifth from the median, {pixel_size(spacing)}: trained on as they are, not resampled"
    ] * (count > 0)


def _sampled_share(
    train: VolumeIndex, regions: Regions, frame: tuple[int, int], fraction: float
) -> tuple[float, ...]:
    columns = [list(train.regions).index(name) for name in regions]
    counts = np.concatenate([case.foreground[:, columns] for case in train.cases])
    positive = counts[counts.any(axis=1)]
    if not len(positive):
        raise InputError(
            f"no training case has a voxel of {', '.join(regions)}; nothing can be learned"
        )
    # Slices without any region may be absent (a store of tumour slices alone).
    share = fraction if len(positive) < len(counts) else 1.0
    shares = positive.mean(axis=0) * share / (frame[0] * frame[1])
    # A region as large as a frame that cuts slices off still leaves something to tell apart.
    return tuple(float(v) for v in shares.clip(0, 0.99))
