"""How a case of a store is segmented and measured, and what it looks like then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from mriseg.backends.base import Backend
from mriseg.core.metrics import CaseScores, score_case
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import Regions, region_masks
from mriseg.engine.segmenter import Output
from mriseg.errors import InputError
from mriseg.events import Partly
from mriseg.io.store import Store
from mriseg.recipes.channels import restricted
from mriseg.recipes.lazy import Lazy
from mriseg.recipes.loaded import Loaded
from mriseg.recipes.pipeline import Stages
from mriseg.recipes.prediction import PredictOptions
from mriseg.report import gallery
from mriseg.report.gallery import Views
from mriseg.report.viewer import PackedCase, packed, viewed


@dataclass(frozen=True)
class MeasuredCase:
    """What a case's masks score, what to say of them, and what they look like.

    Attributes:
        scores: one per region.
        notices: what to say.
        slices: those to look at; None: not wanted.
        view: for a viewer; None: not wanted.
        problem: why it could not be measured; empty: it was.
    """

    scores: tuple[CaseScores, ...] = ()
    notices: tuple[str, ...] = ()
    slices: Views | None = None
    view: PackedCase | None = None
    problem: str = ""


_Read: TypeAlias = PreparedCase | MeasuredCase
"""A case, or why it cannot be measured."""
_Passed: TypeAlias = tuple[PreparedCase, Output] | MeasuredCase
"""It with what the network gave for it, likewise."""


@dataclass(frozen=True)
class Measurement:
    """How a case is segmented and measured; a value that can be sent to a worker.

    Attributes:
        store: where to read.
        model: what segments.
        backend: where to compute.
        options: how masks are made.
        regions: that are measured.
        looks: whether slices to look at are wanted.
        packs: whether a case for a viewer is.
    """

    store: Store
    model: Lazy[Loaded]
    backend: Lazy[Backend]
    options: PredictOptions
    regions: Regions
    looks: bool = False
    packs: bool = False

    def of(self, name: str) -> Partly[MeasuredCase]:
        """Measure a case; yields the share of it that is done."""
        return self.stages(name)

    @property
    def stages(self) -> Stages[str, float, _Read, _Passed, MeasuredCase]:
        """`of` in stages, of which the first and the last need no device."""
        return Stages(self._read, self._pass, self._finish)

    def _read(self, name: str) -> Partly[_Read]:
        yield from ()
        try:
            case = restricted(self.store.read_case(name), self.options.modalities)
            modalities = self.model().run.manifest.modalities
            if not set(case.modalities) & set(modalities):
                raise InputError(f"it has {', '.join(case.modalities)}: none that the model reads")
            return case
        except InputError as error:
            return MeasuredCase(problem=str(error))

    def _pass(self, name: str, case: _Read) -> Partly[_Passed]:
        if isinstance(case, MeasuredCase):
            return case
        try:
            return case, (yield from self.model().segmenter.passing(case, self.backend()))
        except InputError as error:
            return MeasuredCase(problem=str(error))

    def _finish(self, name: str, passed: _Passed) -> MeasuredCase:
        if isinstance(passed, MeasuredCase):
            return passed
        case, output = passed
        segmenter = self.model().segmenter
        try:
            segmented = segmenter.masks(case, output)
        except InputError as error:
            return MeasuredCase(problem=str(error))
        assert case.labels is not None, "only labelled cases were chosen"
        masks, truth = segmented.masks, region_masks(case.labels, self.regions)
        names = tuple(self.regions)
        view = viewed(name, case, names, mask=masks, truth=truth) if self.packs else None
        modalities = segmenter.model.task.modalities
        return MeasuredCase(
            scores=tuple(score_case(name, masks, truth, names, case.geometry)),
            notices=segmented.notices,
            # Copies, so that the volumes can go.
            slices=gallery.views(case, modalities, masks, truth) if self.looks else None,
            view=packed(view) if view is not None else None,
        )
