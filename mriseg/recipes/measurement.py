"""How a case of a store is segmented and measured, and what it looks like then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mriseg.backends.base import Backend
from mriseg.core.metrics import CaseScores, score_case
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import Regions, region_masks
from mriseg.engine.segmenter import Segmenter
from mriseg.errors import InputError
from mriseg.events import Partly
from mriseg.io.store import Store
from mriseg.recipes.channels import restricted
from mriseg.recipes.prediction import PredictOptions
from mriseg.report import gallery
from mriseg.report.gallery import Views
from mriseg.report.viewer import ViewedCase, viewed


@dataclass(frozen=True)
class MeasuredCase:
    """A case, its masks and truth [r, z, y, x], what they score, and what to say of the masks.

    Attributes:
        modalities: that the model reads.
    """

    case: PreparedCase
    modalities: tuple[str, ...]
    masks: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    scores: list[CaseScores]
    notices: tuple[str, ...]

    def slices(self) -> Views:
        """The slices to look at, copied, so that the volumes can go."""
        return gallery.views(self.case, self.modalities, self.masks, self.truth)

    def viewed(self, name: str, regions: Sequence[str]) -> ViewedCase:
        """The case for a viewer."""
        return viewed(name, self.case, regions, mask=self.masks, truth=self.truth)


@dataclass(frozen=True)
class Measurement:
    """How a case is segmented and measured."""

    store: Store
    segmenter: Segmenter
    backend: Backend
    options: PredictOptions
    regions: Regions

    def of(self, name: str) -> Partly[MeasuredCase]:
        """Measure a case; yields the share of it that is done."""
        case = restricted(self.store.read_case(name), self.options.modalities)
        modalities = self.segmenter.model.task.modalities
        if not set(case.modalities) & set(modalities):
            raise InputError(f"it has {', '.join(case.modalities)}: none that the model reads")
        segmented = yield from self.segmenter.segmenting(case, self.backend)
        assert case.labels is not None, "only labelled cases were chosen"
        truth = region_masks(case.labels, self.regions)
        scores = score_case(name, segmented.masks, truth, tuple(self.regions), case.geometry)
        masks = segmented.masks
        return MeasuredCase(case, modalities, masks, truth, scores, segmented.notices)
