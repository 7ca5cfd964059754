"""The picture of an evaluation: its best, median and worst cases, one slice of each."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.prepare import PreparedCase
from mriseg.core.showcase import ShowcaseEntry, telling_slices
from mriseg.report.pictures import GridRow

Array = NDArray[Any]


@dataclass(frozen=True)
class View:
    """One slice of a case.

    Attributes:
        number: which, in the whole scan in canonical axes.
        image: [m, h, w], normalised.
        truth: 0/1 [r, h, w].
        output: the masks that were measured, 0/1 [r, h, w].
    """

    number: int
    image: Array
    truth: Array
    output: Array


@dataclass(frozen=True)
class Views:
    """A case in two slices: the one with most of the truth, and the one with most errors."""

    largest: View
    wrong: View


def views(case: PreparedCase, modalities: tuple[str, ...], masks: Array, truth: Array) -> Views:
    """The two slices of a case, copied, so that its volumes can go.

    Args:
        case: where the image is.
        modalities: the channels to show.
        masks: the prediction, 0/1 [r, z, y, x] on the case's grid.
        truth: the true masks, likewise.
    """
    image = case.channels(modalities)

    def view(z: int) -> View:
        # The store's own precision: half the memory of what the network read.
        return View(
            case.box.start[0] + z,
            image[:, z].astype(np.float16),
            truth[:, z].copy(),
            masks[:, z].copy(),
        )

    largest, wrong = (view(z) for z in telling_slices(masks, truth))
    return Views(largest, wrong)


def rows(
    shown: Sequence[ShowcaseEntry], views_of: Mapping[str, Views], seen: Container[str] = ()
) -> list[GridRow]:
    """The rows of the picture: of the worst cases the slice with most errors.

    Args:
        shown: the cases, in order.
        views_of: the views of each of these.
        seen: cases that the model was trained on, which the captions say.
    """
    grid_rows = []
    for item in shown:
        worst = item.place == "worst"
        view = views_of[item.case].wrong if worst else views_of[item.case].largest
        dice = ", ".join(f"{region} {value:.2f}" for region, value in item.dice.items())
        words = [
            f"{item.place}, {item.rank} of {item.of}".removeprefix(", "),
            item.case + (" (trained on it)" if item.case in seen else ""),
            f"Dice {dice}",
            f"slice {view.number}" + (", most errors" if worst else ""),
        ]
        image = view.image.astype(np.float32)
        grid_rows.append(GridRow(" · ".join(words), image, view.truth, view.output))
    return grid_rows
