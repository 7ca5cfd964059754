"""Validation by patient, in 3-D, on cases that training does not see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from mriseg.backends.base import Backend
from mriseg.core import metrics
from mriseg.core.calibration import Tally, dice_by_min_share, tally
from mriseg.core.postprocess import threshold
from mriseg.core.regions import Regions, region_masks
from mriseg.core.segnet import SegNet
from mriseg.core.volume import SliceRef
from mriseg.engine.inference import fitted, probabilities, refined
from mriseg.io.store import Store
from mriseg.report.pictures import GridRow


@dataclass(frozen=True)
class Validation:
    """Dice of each region of each case, and slices to look at.

    Attributes:
        dice: case -> region -> 3-D Dice.
        rows: for a picture grid.
        non_finite: the cases for which not all that the network gave are numbers.
        corrupt_slices: the slices of these that are not all numbers themselves.
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
    *,
    modalities: tuple[str, ...],
    regions: Regions,
    frame: tuple[int, int],
    levels: Sequence[float],
    pictures: int = 4,
) -> Validation:
    """Dice per case and region, by a copy of the model as prediction makes it. One case a time.

    Args:
        model: with its weights, as trained.
        backend: where to compute.
        store: where to read.
        cases: names of those that validate.
        modalities: the model's input channels.
        regions: its output channels.
        frame: the training's frame (h, w).
        levels: of each region, the probability above which a voxel is marked.
        pictures: of how many cases slices are kept to look at.
    """
    fit = fitted(model, backend, modalities=modalities, frame=frame, adapt=True)
    found: dict[str, dict[str, float]] = {}
    rows: list[GridRow] = []
    non_finite: list[str] = []
    corrupt_slices: list[SliceRef] = []
    tallies: dict[str, list[Tally]] = {region: [] for region in regions}
    by_min_share: dict[str, list[tuple[float, ...]]] = {region: [] for region in regions}
    # Pictures of cases spread over the list, so that the same patients are seen every time.
    shown = set(np.linspace(0, len(cases) - 1, min(pictures, len(cases))).round().astype(int))
    for number, name in enumerate(cases):
        case = store.read_case(name)
        assert case.labels is not None, "plan_training() keeps labelled cases alone"
        output = probabilities(
            fit(case), backend, case, modalities=modalities, regions=len(regions), frame=frame
        )
        if not np.isfinite(output).all():
            non_finite.append(name)
            corrupt_slices += (SliceRef(name, z) for z in case.corrupt_slices)
            output = np.nan_to_num(output)
        output = refined(output, case, modalities)
        truth = region_masks(case.labels, regions)
        marked = threshold(output, levels)
        found[name] = {
            region: metrics.dice(metrics.count(marked[r], truth[r]))
            for r, region in enumerate(regions)
        }
        for r, region in enumerate(regions):
            tallies[region].append(tally(output[r], truth[r]))
            by_min_share[region].append(dice_by_min_share(output[r], truth[r], levels[r]))
        if number in shown:
            first_slice = case.box.start[0]
            image = case.channels(modalities)
            rows.append(_row(name, image, truth, output, found[name], first_slice))
    return Validation(
        found, tuple(rows), tuple(non_finite), tuple(corrupt_slices), tallies, by_min_share
    )


def _row(
    name: str,
    image: NDArray[np.float32],
    truth: NDArray[np.uint8],
    output: NDArray[np.float32],
    dice: dict[str, float],
    first_slice: int,
) -> GridRow:
    areas = truth.sum(axis=(0, 2, 3))
    z = int(areas.argmax()) if areas.any() else truth.shape[1] // 2
    scores = ", ".join(f"{region} {value:.2f}" for region, value in dice.items())
    return GridRow(
        image=image[:, z],
        truth=truth[:, z],
        output=output[:, z],
        caption=f"{name}, slice {first_slice + z}, Dice {scores}",
    )
