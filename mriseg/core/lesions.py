"""How many lesions were detected, and how many that are none."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.postprocess import components_of
from mriseg.core.volume import bounding_box, crop, foreground
from mriseg.errors import InputError

Array = NDArray[Any]


@dataclass(frozen=True)
class LesionCounts:
    """Lesions of one region by whether they were detected.

    Counts add up, over cases as over regions: ``sum(counts, start=LesionCounts())`` works.

    Attributes:
        lesions: of the truth.
        detected: those of them that the prediction touches.
        false: lesions of the prediction that touch none of the truth.
    """

    lesions: int = 0
    detected: int = 0
    false: int = 0

    def __add__(self, other: LesionCounts) -> LesionCounts:
        return LesionCounts(
            self.lesions + other.lesions, self.detected + other.detected, self.false + other.false
        )

    @property
    def sensitivity(self) -> float:
        """The share of the true lesions that was detected; nan where there is none."""
        return self.detected / self.lesions if self.lesions else math.nan

    @property
    def precision(self) -> float:
        """Detected lesions, as a share of the detected and the false; nan where there is neither.

        A true lesion that the prediction has in two pieces counts once, and two that it has in one
        piece count twice.
        """
        marked = self.detected + self.false
        return self.detected / marked if marked else math.nan

    @property
    def f1(self) -> float:
        """The harmonic mean of both, 2 tp / (2 tp + fp + fn); 1 where no mask has a lesion.

        tp are detected lesions, fp false ones, and fn those that were missed.
        """
        whole = self.lesions + self.detected + self.false
        return 2 * self.detected / whole if whole else 1.0


def count_lesions(prediction: Array, target: Array) -> LesionCounts:
    """Count lesions, which are components: voxels that share a face, an edge or a corner.

    A true lesion is detected if the prediction has one voxel of it, and a predicted one is false if
    it has no voxel of the truth, as ISLES 2022 counted them (Hernandez Petzsche et al. 2022, arXiv
    2206.06694). How well a lesion is outlined is not asked, and one large component can detect them
    all: read it beside Dice.

    Args:
        prediction: a mask [z, y, x]; what is not 0 is foreground.
        target: the truth, in the same shape.

    Raises:
        InputError: the shapes differ, or are not 3-D.
    """
    prediction, target = foreground(prediction, target)
    if prediction.ndim != 3:
        raise InputError(f"lesions are counted in 3-D masks, not in {prediction.ndim}-D ones")
    either = prediction | target
    if not either.any():
        return LesionCounts()
    box = bounding_box(either)
    prediction, target = crop(prediction, box), crop(target, box)
    lesions, detected = _touched(target, prediction)
    marked, right = _touched(prediction, target)
    return LesionCounts(lesions, detected, marked - right)


def _touched(mask: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[int, int]:
    """How many components ``mask`` has, and how many of them share a voxel with ``other``."""
    components, sizes = components_of(mask)
    return len(sizes) - 1, np.unique(components[mask & other]).size
