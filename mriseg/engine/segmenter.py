"""A case's masks from a trained model: the one way, for every caller.

A `Segmenter` is a value that holds no device and no file: it can be pickled and sent to a worker,
which computes on a backend of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mriseg.backends.base import Backend
from mriseg.core import resampling
from mriseg.core.calibration import Calibrations
from mriseg.core.copies import Copies
from mriseg.core.evidence import Evidence, evidence_of
from mriseg.core.ops import PURE
from mriseg.core.postprocess import remove_minor_components, remove_small, threshold
from mriseg.core.prepare import PreparedCase
from mriseg.core.refine import refine
from mriseg.core.segnet import SegNet
from mriseg.core.task import Task
from mriseg.engine.inference import NetworkFor, fitted, predicting
from mriseg.errors import InputError
from mriseg.events import Partly, completed, within

# What the rest of a case takes, in passes of one slice through the network: taking the scan's own
# statistics, and for each slice the refinement, the components and what is written.
_ADAPTING, _REFINING = 24.0, 0.4


@dataclass(frozen=True)
class Model:
    """A trained network and what its use takes.

    Attributes:
        network: on the CPU, with its best weights, calibrated.
        task: what it reads and segments.
        calibrations: of the regions, in the task's order.
        mirrored: axes of a batch [b, c, h, w] along which training mirrored slices.
    """

    network: SegNet
    task: Task
    calibrations: Calibrations
    mirrored: tuple[int, ...] = ()


@dataclass(frozen=True)
class SegmentOptions:
    """How masks are made of a network's output.

    Attributes:
        threshold: a voxel is segmented above this probability, one for all regions or one for
            each; None: the calibration's.
        min_component_share: components below this share of their region's largest are removed,
            one for all regions or one for each; None: the calibration's.
        min_volume: smaller components are removed; mL, or voxels where the scan states no voxel
            size.
        flips: average over each slice as it is and mirrored as it was in training.
        adapt: blend the encoder's batch-norm statistics with each case's
            (`mriseg.core.batchnorm.blend_statistics_`).
        refine: refine the probabilities by the case's own intensities and by neighbouring slices
            (`mriseg.core.refine.refine`).
        batch_size: slices per batch.
    """

    threshold: float | tuple[float, ...] | None = None
    min_component_share: float | tuple[float, ...] | None = None
    min_volume: float = 0.0
    flips: bool = True
    adapt: bool = True
    refine: bool = True
    batch_size: int = 16

    def resolved(self, calibrations: Calibrations) -> Self:
        """These options with the calibrations' numbers in place of None."""
        level, share = self.threshold, self.min_component_share
        if level is None:
            level = calibrations.thresholds
        if share is None:
            share = calibrations.min_component_shares
        return replace(self, threshold=level, min_component_share=share)


@dataclass(frozen=True)
class Segmentation:
    """What a case was segmented to, on its cropped grid.

    Attributes:
        masks: 0/1 uint8 [r, z, y, x].
        probabilities: float32 [r, z, y, x].
        evidence: of each region, what its mask shows of how sure it is.
        notices: what its user should know of how it was made.
    """

    masks: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    evidence: tuple[Evidence, ...]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Output:
    """What the network gives for a case.

    Attributes:
        probabilities: float32 [r, z, y, x] on its cropped grid.
        agreements: of each region, how far the mirrored copies agree; None where there is one.
    """

    probabilities: NDArray[np.float32]
    agreements: tuple[float | None, ...]


class Segmenter:
    """Segments cases with a model; cheap to pickle besides the model's weights.

    Args:
        model: the model.
        options: None: the defaults.
    """

    def __init__(self, model: Model, options: SegmentOptions | None = None) -> None:
        self.model = model
        self.options = (options or SegmentOptions()).resolved(model.calibrations)
        self._placed: tuple[Backend, NetworkFor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        # What lies on a device stays with the process that placed it; pooling in the form that
        # every process has.
        network = copy.deepcopy(self.model.network)
        network.set_ops(PURE)
        model = Model(network, self.model.task, self.model.calibrations, self.model.mirrored)
        return {"model": model, "options": self.options, "_placed": None}

    def segment(self, case: PreparedCase, backend: Backend) -> Segmentation:
        """The masks and probabilities of a case.

        Args:
            case: prepared as training's cases were; a modality that it lacks reads 0.
            backend: where to compute. The network is placed there once.

        Raises:
            InputError: the output is not a number, which would look like an empty mask.
        """
        return completed(self.segmenting(case, backend))

    def segmenting(self, case: PreparedCase, backend: Backend) -> Partly[Segmentation]:
        """`segment`, which yields the share of the case that is done."""
        output = yield from self.passing(case, backend)
        return self.masks(case, output)

    def passing(self, case: PreparedCase, backend: Backend) -> Partly[Output]:
        """A case through the network, the first half of `segmenting`: what computes on a device."""
        model, options = self.model, self.options
        flips = model.mirrored if options.flips else ()
        begin, share = network_share(case, passes=2 ** len(flips), adapt=options.adapt)
        network = self._network_for(backend)(case)
        yield begin
        copies = Copies(self._levels)
        work = predicting(
            *(network, backend, case, model.task),
            batch_size=options.batch_size,
            flips=flips,
            copies=copies,
        )
        probabilities = yield from within(work, begin, share)
        return Output(probabilities, copies.agreements)

    def masks(self, case: PreparedCase, output: Output) -> Segmentation:
        """What the network gave as masks, the second half of `segmenting`; needs no device.

        Raises:
            InputError: as `segment`.
        """
        model, options, probabilities = self.model, self.options, output.probabilities
        if not np.isfinite(probabilities).all():
            raise InputError(_not_finite(case))
        assert options.min_component_share is not None, "resolved() gives it"
        rough = threshold(probabilities, self._levels)
        if options.refine:
            probabilities = refined(probabilities, case, model.task, model.calibrations.platt)
        voxel = case.geometry.volume_of(1).value
        masks = threshold(probabilities, self._levels)
        masks = remove_minor_components(masks, options.min_component_share)
        masks = remove_small(masks, options.min_volume, voxel)
        h, w = case.image.shape[-2:]
        _, notice = resampling.plan((h, w), case.geometry, model.task.spacing)
        evidence = tuple(map(evidence_of, probabilities, masks, rough, output.agreements))
        return Segmentation(masks, probabilities, evidence, (notice,) if notice else ())

    @property
    def _levels(self) -> list[float]:
        """Of each region, the probability above which a voxel is segmented."""
        assert self.options.threshold is not None, "resolved() gives it"
        levels: list[float] = np.broadcast_to(
            self.options.threshold, len(self.model.task.regions)
        ).tolist()
        return levels

    def _network_for(self, backend: Backend) -> NetworkFor:
        if self._placed is None or self._placed[0] is not backend:
            network = copy.deepcopy(self.model.network)
            network.set_ops(backend.ops)
            network = backend.place_model(network).eval()
            adapt = self.options.adapt
            self._placed = (backend, fitted(network, backend, self.model.task, adapt=adapt))
        return self._placed[1]


def network_share(case: PreparedCase, *, passes: int, adapt: bool) -> tuple[float, float]:
    """When the network begins with a case and for how long, in shares of the case's time.

    Args:
        case: the case.
        passes: how often each slice passes through the network.
        adapt: whether statistics of the case are taken before.
    """
    slices = case.image.shape[1]
    whole = case_cost(slices, passes=passes, adapt=adapt)
    return _ADAPTING * adapt / whole, slices * passes / whole


def case_cost(slices: float, *, passes: int, adapt: bool) -> float:
    """What a case takes, in passes of one slice through the network; see `network_share`."""
    return _ADAPTING * adapt + slices * passes + _REFINING * slices


def refined(
    output: NDArray[np.float32],
    case: PreparedCase,
    task: Task,
    platt: Sequence[tuple[float, float]] = (),
) -> NDArray[np.float32]:
    """`mriseg.core.refine.refine` of what `mriseg.engine.inference.probabilities` gave for a case.

    Args:
        output: probabilities [r, z, y, x]; all finite.
        case: the case.
        task: of the model; what else the case has is not looked at.
        platt: of each region, the scale and shift of its calibration; empty: it has none.
    """
    known = tuple(name for name in task.modalities if name in case.modalities)
    return refine(output, case.channels(known), platt)


def _not_finite(case: PreparedCase) -> str:
    if case.corrupt_slices:
        numbers = ", ".join(map(str, case.corrupt_slices))
        return (
            f"its slices {numbers} hold voxels that are NaN or infinite; preprocess it again into "
            f"a new store"
        )
    return "the network's output is not a number; try --precision fp32"
