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

    It yields the share of the cases that is done.

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
    dice: dict[str, dict[str, float]] = {}
    rows: list[GridRow] = []
    non_finite: list[str] = []
    corrupt: list[SliceRef] = []
    tallies: dict[str, list[Tally]] = {region: [] for region in task.regions}
    by_min_share: dict[str, list[tuple[float, ...]]] = {region: [] for region in task.regions}
    # Pictures of cases spread over the list, so that the same patients are seen every time.
    shown = set(np.linspace(0, len(cases) - 1, min(pictures, len(cases))).round().astype(int))
    for number, name in enumerate(cases):
        case = store.read_case(name)
        work = _measured(network_for, backend, case, task, levels)
        measured = yield from within(work, number / len(cases), 1 / len(cases))
        if not measured.finite:
            non_finite.append(name)
            corrupt += (SliceRef(name, z) for z in case.corrupt_slices)
        dice[name] = measured.dice
        for region in task.regions:
            tallies[region].append(measured.tallies[region])
            by_min_share[region].append(measured.by_min_share[region])
        if number in shown:
            rows.append(_row(name, case, task, measured.truth, measured.output, dice[name]))
    return Validation(dice, tuple(rows), tuple(non_finite), tuple(corrupt), tallies, by_min_share)


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
class _Measured:
    """What a case gave: probabilities and truth [r, z, y, x], and by region what is kept."""

    output: NDArray[np.float32]
    truth: NDArray[np.uint8]
    finite: bool
    dice: dict[str, float]
    tallies: dict[str, Tally]
    by_min_share: dict[str, tuple[float, ...]]


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
    return _Measured(
        output=output,
        truth=truth,
        finite=finite,
        dice={name: metrics.dice(metrics.count(masks[r], truth[r])) for r, name in numbered},
        tallies={name: tally(output[r], truth[r]) for r, name in numbered},
        by_min_share={
            name: dice_by_min_share(output[r], truth[r], levels[r]) for r, name in numbered
        },
    )


def _row(
    name: str,
    case: PreparedCase,
    task: Task,
    truth: NDArray[np.uint8],
    output: NDArray[np.float32],
    dice: dict[str, float],
) -> GridRow:
    areas = truth.sum(axis=(0, 2, 3))
    z = int(areas.argmax()) if areas.any() else truth.shape[1] // 2
    scores = ", ".join(f"{region} {value:.2f}" for region, value in dice.items())
    return GridRow(
        image=case.channels(task.modalities)[:, z],
        truth=truth[:, z],
        output=output[:, z],
        caption=f"{name}, slice {case.box.start[0] + z}, Dice {scores}",
    )
