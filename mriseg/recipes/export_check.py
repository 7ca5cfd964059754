"""Whether a file that was exported gives the model's own output: noise through both.

A format's converter may freeze a size or a branch, or compute something else, without an error.
So each file is loaded by its own means, and takes every way that there is through it: slices inside
the frame, across it and beyond it, each with and without a foreground, and whole scans.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mriseg.backends import Backend
from mriseg.core import intensity, rng, volume
from mriseg.core.intensity import Normalisation, normalise
from mriseg.core.prepare import PreparedCase
from mriseg.core.volume import Box, Geometry
from mriseg.core.wording import counted
from mriseg.engine.inference import probabilities
from mriseg.errors import ExportError
from mriseg.events import Advanced, Began, Notice, Recipe
from mriseg.io.exporters import LoadedExport
from mriseg.io.runs import Manifest

LIMIT = 1e-5
"""How far a probability of the file may be from the model's."""
LOG_LIMIT = 1e-2
"""How far its logarithm may be: a model that is sure of nearly every voxel of noise gives
probabilities that are all nearly 0, and so would another."""
_SMALLEST = 1e-30

TRIES = 3
FEW, TIE_LIMIT, LOOSE = 1e-3, 1e-2, 1e-4
"""Where two values of a pooling window are equal but for rounding, two right programs may un-pool
to different places. So a batch that differs is drawn again. In the last draw, `FEW` of the voxels
may differ by `TIE_LIMIT`, as from a window of a large plane; or all by `LOOSE`, as from one of the
deepest level, whose reach is a small slice. A wrong program is wrong in every draw, and more."""

# Noise has no place in space; only its voxels matter.
_GRID = Geometry(
    shape=(1, 1, 1),
    affine=((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)),
    axes=(2, 1, 0),
    flips=(False, False, False),
    unit="px",
)


@dataclass(frozen=True)
class _Batch:
    """Slices as a user of the file gives them; see `Deployed.forward`."""

    image: Tensor
    mean: Tensor
    std: Tensor
    foreground: Tensor | None


@dataclass(frozen=True)
class _Shape:
    """What a batch is like.

    Attributes:
        count: of slices.
        size: of each.
        scan: whether it is one whole scan, whose statistics the file finds by itself.
        by_slice: whether mean and deviation are given for each slice.
        masked: whether there is a foreground.
    """

    count: int
    size: tuple[int, int]
    scan: bool = False
    by_slice: bool = False
    masked: bool = True


@dataclass(frozen=True)
class Check:
    """What a file is compared with.

    Attributes:
        format: its name.
        sizes: as the exporter has them.
        network: the model's, as prediction has it.
        backend: where it is.
        manifest: of the model's run.
    """

    format: str
    sizes: Literal["any", "frame"]
    network: nn.Module
    backend: Backend
    manifest: Manifest

    def differences(self, exported: LoadedExport) -> Recipe[float]:
        """The largest difference of any probability.

        Raises:
            ExportError: the file does not run, or does not give the model's output.
        """
        shapes = self._shapes(exported)
        yield Began("check", len(shapes), "batch")
        largest, again = 0.0, 0
        for number, shape in enumerate(shapes, start=1):
            for attempt in range(TRIES):
                difference, fault = self._difference(exported, shape, attempt)
                if not fault:
                    largest = max(largest, difference)
                    break
                if attempt == TRIES - 1:
                    raise ExportError(fault)
                again += 1
            yield Advanced("check", number, {"largest difference": largest})
        if again:
            yield Notice(
                f"{counted(again, 'draw')} of noise differed in a few voxels, where two values of "
                f"a pooling window are equal but for rounding"
            )
        return largest

    def _shapes(self, exported: LoadedExport) -> list[_Shape]:
        h, w = self.manifest.frame
        if self.sizes == "frame":
            return [_Shape(1, (h, w), by_slice=True), _Shape(1, (h, w), masked=False)]
        # Inside the frame, across it in either axis, and beyond it; none a multiple of 32.
        sizes = [(3, h - 5, w - 3), (1, h + 13, w - 9), (1, h - 21, w + 7), (2, h + 7, w + 39)]
        shapes = [
            shape
            for index, (count, *size) in enumerate(sizes)
            for shape in (
                _Shape(count, (size[0], size[1]), by_slice=index % 2 == 1),
                _Shape(1, (size[0], size[1]), masked=False),
            )
        ]
        if exported.predict_scan is not None:
            shapes.append(_Shape(5, (h + 11, w - 7), scan=True))
        return shapes

    def _difference(self, exported: LoadedExport, shape: _Shape, attempt: int) -> tuple[float, str]:
        is_last = attempt == TRIES - 1
        generator = rng.generator(0, "export", attempt) if attempt else rng.generator(0, "export")
        if shape.scan:
            scan = _noise_scan(generator, len(self.manifest.modalities), shape)
            return self._compare(exported, scan, self._expected_scan(scan), is_last)
        batch = _noise(generator, len(self.manifest.modalities), shape)
        return self._compare(exported, batch, self._expected(batch), is_last)

    def _expected(self, batch: _Batch) -> Tensor:
        """What prediction gives for the slices of a batch: of one scan, or each of its own.

        In one batch, as the file has them: another one rounds otherwise.
        """
        b, _, h, w = batch.image.shape
        masks = torch.ones((b, h, w)) > 0 if batch.foreground is None else batch.foreground
        parts = [slice(index, index + 1) for index in range(b)]
        if batch.mean.ndim == 1:
            parts = [slice(0, b)]
        normalised = [
            normalise(
                batch.image[part].transpose(0, 1).numpy(),
                masks[part].numpy(),
                Normalisation(
                    *(
                        tuple(
                            values[part].flatten().tolist() if values.ndim == 2 else values.tolist()
                        )
                        for values in (batch.mean, batch.std)
                    )
                ),
            )
            for part in parts
        ]
        return self._predicted(np.concatenate(normalised, axis=1)).transpose(0, 1)

    def _expected_scan(self, scan: Tensor) -> Tensor:
        """What prediction gives for a whole scan, without the float16 of a store."""
        images = scan.numpy()
        brain = intensity.foreground(images)
        box = volume.bounding_box(brain)
        crops, inside = volume.crop(images, box), volume.crop(brain, box)
        norm = intensity.statistics(crops, inside)
        output = self._predicted(normalise(crops, inside, norm)).numpy()
        return torch.from_numpy(volume.uncrop(output, box, brain.shape))

    def _predicted(self, normalised: NDArray[Any]) -> Tensor:
        m, *shape = normalised.shape
        case = PreparedCase(
            image=normalised,
            modalities=self.manifest.modalities,
            labels=None,
            geometry=_GRID,
            box=Box((0, 0, 0), (shape[0], shape[1], shape[2])),
            normalisation=Normalisation((0.0,) * m, (1.0,) * m),
        )
        task = self.manifest.task
        return torch.from_numpy(probabilities(self.network, self.backend, case, task))

    def _compare(
        self, exported: LoadedExport, given: _Batch | Tensor, expected: Tensor, is_last: bool
    ) -> tuple[float, str]:
        """The largest difference, and what is wrong with it. Raises ExportError for no output."""
        shape = list(given.shape if isinstance(given, Tensor) else given.image.shape)
        try:
            output = _run(exported, given)
        except Exception as error:
            # Each format has exceptions of its own.
            raise ExportError(
                f"the {self.format} file loads but does not run on a batch of shape {shape}: "
                f"{error}"
            ) from error
        if output.shape != expected.shape:
            raise ExportError(
                f"the {self.format} file gives an output of shape {list(output.shape)} where the "
                f"model gives {list(expected.shape)}"
            )
        apart = (output - expected).abs()
        logs = [p.clamp(min=_SMALLEST).log() for p in (output, expected)]
        logs_apart = (logs[0] - logs[1]).abs()
        largest, in_logs = float(apart.max()), float(logs_apart.max())
        # Not-a-number compares as false, hence the negation.
        beyond = ~((apart <= LIMIT) & (logs_apart <= LOG_LIMIT))
        share = float(beyond.float().mean())
        is_tie = share <= FEW and largest <= TIE_LIMIT
        is_small = largest <= LOOSE and in_logs <= LOG_LIMIT
        if share and not (is_last and (is_tie or is_small)):
            return largest, (
                f"the {self.format} file does not give the model's output: probabilities of slices "
                f"{shape} differ by up to {largest:.2g}, and their logarithms by "
                f"{in_logs:.2g}; allowed are {LIMIT:g} and {LOG_LIMIT:g}. Nothing was written"
            )
        return largest, ""


def _run(exported: LoadedExport, given: _Batch | Tensor) -> Tensor:
    if isinstance(given, _Batch):
        return exported.predict(given.image, given.mean, given.std, given.foreground)
    assert exported.predict_scan is not None
    return exported.predict_scan(given)


def _of(batch: _Batch, index: int) -> _Batch:
    one = slice(index, index + 1)
    mask = None if batch.foreground is None else batch.foreground[one]
    return _Batch(batch.image[one], batch.mean[one], batch.std[one], mask)


def _uniform(generator: torch.Generator, *shape: int, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def _noise(generator: torch.Generator, m: int, shape: _Shape) -> _Batch:
    statistics = (shape.count, m) if shape.by_slice else (m,)
    mean = _uniform(generator, *statistics, low=50, high=1000)
    std = _uniform(generator, *statistics, low=20, high=300)
    noise = torch.randn((shape.count, m, *shape.size), generator=generator)
    image = mean.view(-1, m, 1, 1) + std.view(-1, m, 1, 1) * noise
    inside = _uniform(generator, shape.count, *shape.size, low=0, high=1) > 0.3
    return _Batch(image, mean, std, inside if shape.masked else None)


def _noise_scan(generator: torch.Generator, m: int, shape: _Shape) -> Tensor:
    """A scan [m, z, y, x] of noise in a box, and 0 around it, as a skull-stripped one has."""
    z, (y, x) = shape.count + 2, shape.size
    scan = torch.zeros((m, 2 * z, 2 * y, x + 4))
    noise = torch.randn((m, z - 2, y, x), generator=generator)
    mean = _uniform(generator, m, 1, 1, 1, low=500, high=1000)
    scan[:, 1 : z - 1, 2 : 2 + y, 3 : 3 + x] = mean + 80 * noise
    return scan
