"""Validation by patient, in 3-D, on cases that training does not see."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from mriseg.backends.base import Backend
from mriseg.core import metrics
from mriseg.core.calibration import Tally, dice_by_min_share, tally
from mriseg.core.postprocess import threshold
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import region_masks
from mriseg.core.segnet import SegNet
from mriseg.core.task import Task
from mriseg.core.volume import SliceRef
from mriseg.engine.inference import NetworkFor, fitted, predicting
from mriseg.engine.segmenter import network_share, refined
from mriseg.events import Partly, completed, within
from mriseg.io.store import Store
from mriseg.report.pictures import GridRow

# Slices that `seconds_per_slice` tries: a batch.
_FEW = 16
# Seconds of a trial that is not repeated.
_SLOW = 2.0


@dataclass(frozen=True)
class Validation:
    """Dice of each region of each case, and slices to look at.

    Attributes:
        dice: case -> region -> 3-D Dice.
        rows: for a picture grid.
        non_finite: the cases for which not all that the network gave are numbers.
        corrupt_slices: the slices of these whose own voxels are NaN or infinite.
        tallies: region -> a count of voxels by logit and truth for each case, for a calibration.
        dice_by_min_share: region -> the Dice of each case without small components, for the same.
    """

    dice: dict[str, dict[str, float]]
    rows: tuple[GridRow, ...]
    non_finite: tuple[str, ...]
    corrupt_slices: tuple[SliceRef, ...]
    tallies: dict[str, list[Tally]]
    dice_by_min_share: dict[str, list[tuple[float, ...]]]

    def mean(self, region: str) -> float:
        """Over the cases."""
        return fmean(scores[region] for scores in self.dice.values())

    @property
    def score(self) -> float:
        """The mean over regions of the mean over cases: what best means."""
        return fmean(fmean(scores.values()) for scores in self.dice.values())


def validate(
    model: SegNet,
    backend: Backend,
    store: Store,
    cases: Sequence[str],
    task: Task,
    *,
    levels: Sequence[float],
    pictures: int = 4,
) -> Partly[Validation]:
    """Dice per case and region, by a copy of the model as prediction makes it. One case at a time.

    It yields the share of the cases that is done. Where several processes train together, each
    takes some of the cases, and all have the result.

    Args:
        model: with its weights, as trained.
        backend: where to compute.
        store: where to read.
        cases: names of those that validate.
        task: of the model.
        levels: of each region, the probability above which a voxel is segmented.
        pictures: of how many cases slices are kept to look at.
    """
    network_for = fitted(model, backend, task, adapt=True)
    # Pictures of cases spread over the list, so that the same patients are seen every time.
    shown = set(np.linspace(0, len(cases) - 1, min(pictures, len(cases))).round().astype(int))
    own, done = backend.ranks.own(range(len(cases))), list[_Seen]()
    for count, number in enumerate(own):
        case = store.read_case(cases[number])
        work = _measured(network_for, backend, case, task, levels)
        measured = yield from within(work, count / len(own), 1 / len(own))
        row = _row(cases[number], case, task, measured) if number in shown else None
        corrupt = () if measured.finite else case.corrupt_slices
        done.append(_Seen(measured.finite, corrupt, measured.kept, row))
    return _validation(cases, backend.ranks.woven(done, _Seen, _Kept, GridRow), task)


def _validation(cases: Sequence[str], seen: Sequence[_Seen], task: Task) -> Validation:
    """What was seen of all cases."""
    named = dict(zip(cases, seen, strict=True))
    broken = {name: each for name, each in named.items() if not each.finite}
    return Validation(
        {name: each.kept.dice for name, each in named.items()},
        tuple(each.row for each in seen if each.row is not None),
        tuple(broken),
        tuple(SliceRef(name, z) for name, each in broken.items() for z in each.corrupt),
        {region: [each.kept.tallies[region] for each in seen] for region in task.regions},
        {region: [each.kept.by_min_share[region] for each in seen] for region in task.regions},
    )


def seconds_per_slice(
    model: SegNet,
    backend: Backend,
    case: PreparedCase,
    task: Task,
    levels: Sequence[float],
    *,
    now: Callable[[], float] = time.monotonic,
) -> float:
    """Seconds that a validation takes for each slice, tried on a few slices of a case.

    It is rather too much: statistics of the whole case are taken for these few as well.

    Args:
        model: with its weights; it is left as it is.
        backend: where to compute.
        case: that is labelled.
        task: of the model.
        levels: as `validate` has them.
        now: reads the time in seconds.
    """
    network_for = fitted(model, backend, task, adapt=True)
    thin = _middle(case, _FEW)
    spent = 0.0
    for _ in range(2):
        began = now()
        completed(_measured(network_for, backend, thin, task, levels))
        spent = now() - began
        if spent > _SLOW:
            break  # what is done for the first time only is no large part of that
    return spent / len(thin.image[0])


def _middle(case: PreparedCase, count: int) -> PreparedCase:
    """So many slices from the middle of a case, or all that it has; for a trial alone."""
    depth = case.image.shape[1]
    count = min(count, depth)
    z = slice((depth - count) // 2, (depth - count) // 2 + count)
    labels = None if case.labels is None else case.labels[z]
    return replace(case, image=case.image[:, z], labels=labels)


@dataclass(frozen=True)
class _Kept:
    """What is kept of a case, by region."""

    dice: dict[str, float]
    tallies: dict[str, Tally]
    by_min_share: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class _Seen:
    """A case that was looked at, as other processes hear of it."""

    finite: bool
    corrupt: tuple[int, ...]
    kept: _Kept
    row: GridRow | None


@dataclass(frozen=True)
class _Measured:
    """What a case gave: probabilities and truth [r, z, y, x], and what is kept of them."""

    output: NDArray[np.float32]
    truth: NDArray[np.uint8]
    finite: bool
    kept: _Kept


def _measured(
    network_for: NetworkFor,
    backend: Backend,
    case: PreparedCase,
    task: Task,
    levels: Sequence[float],
) -> Partly[_Measured]:
    """Predict and measure a case; yields the share of it that is done."""
    assert case.labels is not None, "plan_training() keeps labelled cases alone"
    begin, share = network_share(case, passes=1, adapt=True)
    network = network_for(case)
    yield begin
    output = yield from within(predicting(network, backend, case, task), begin, share)
    finite = bool(np.isfinite(output).all())
    if not finite:
        output = np.nan_to_num(output)
    output = refined(output, case, task)
    truth = region_masks(case.labels, task.regions)
    masks = threshold(output, levels)
    numbered = list(enumerate(task.regions))
    kept = _Kept(
        dice={name: metrics.dice(metrics.count(masks[r], truth[r])) for r, name in numbered},
        tallies={name: tally(output[r], truth[r]) for r, name in numbered},
        by_min_share={
            name: dice_by_min_share(output[r], truth[r], levels[r]) for r, name in numbered
        },
    )
    return _Measured(output, truth, finite, kept)


def _row(name: str, case: PreparedCase, task: Task, measured: _Measured) -> GridRow:
    truth, dice = measured.truth, measured.kept.dice
    areas = truth.sum(axis=(0, 2, 3))
    z = int(areas.argmax()) if areas.any() else truth.shape[1] // 2
    scores = ", ".join(f"{region} {value:.2f}" for region, value in dice.items())
    return GridRow(
        image=case.channels(task.modalities)[:, z],
        truth=truth[:, z],
        output=measured.output[:, z],
        caption=f"{name}, slice {case.box.start[0] + z}, Dice {scores}",
    )
