"""A run's model as a file for other programs, compared with the model before it is called done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mriseg import __version__
from mriseg.backends import Backend, reference_backend
from mriseg.core import rng
from mriseg.core.deploy import Deployed
from mriseg.core.intensity import Normalisation, normalise
from mriseg.core.ops import PURE
from mriseg.core.prepare import PreparedCase
from mriseg.core.segnet import SegNet, build
from mriseg.core.volume import Box, Geometry
from mriseg.engine.inference import probabilities
from mriseg.errors import ExportError, OutputError
from mriseg.events import Advanced, Began, Notice, Recipe, Wrote
from mriseg.io.disk.atomic import replacing
from mriseg.io.disk.space import check_writable
from mriseg.io.exporters import EXPORTERS, LoadedExport
from mriseg.io.runs import Manifest, Run
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews
from mriseg.recipes.load import load_model

FORMAT = "mriseg-export"
FORMAT_VERSION = 1

LIMIT = 1e-4
"""How far a probability of the file may be from the model's."""
LOG_LIMIT = 1e-2
"""How far its logarithm may be: a model that is sure of nearly every voxel of noise gives
probabilities that are all nearly 0, and so would another."""
_SMALLEST = 1e-30

# Noise has no place in space; only its voxels matter.
_GRID = Geometry(
    shape=(1, 1, 1),
    affine=((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)),
    axes=(2, 1, 0),
    flips=(False, False, False),
    unit="px",
)


@dataclass(frozen=True, repr=False)
class ExportReport(Shown):
    """What `export` wrote.

    Attributes:
        path: the file.
        format: its name in `mriseg.io.exporters.EXPORTERS`.
        largest_difference: of any probability, between the file and the model.
        size_bytes: of the file.
    """

    path: Path
    format: str
    largest_difference: float
    size_bytes: int

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.exported(self)


@dataclass(frozen=True)
class _Batch:
    """Slices as a user of the file gives them; see `Deployed.forward`."""

    image: Tensor
    mean: Tensor
    std: Tensor
    foreground: Tensor | None


def export(run: Run, format: str = "torchscript", out: Path | None = None) -> Recipe[ExportReport]:
    """Write a run's best model, in float32, and check the file against the model on this CPU.

    Args:
        run: the model.
        format: a name in ``EXPORTERS``.
        out: the file, which is replaced if it exists; None: ``model`` and the format's suffix in
            the run's folder (``model.torchscript.pt``), or, of a model that was shared or is
            shipped, its name and the suffix here (``base.torchscript.pt``).

    Raises:
        UnknownNameError: there is no such format.
        RunError: the run has no weights, damaged ones, or was never trained.
        OutputError: ``out`` cannot be written.
        ExportError: the file does not load or does not give the model's output; nothing is left.
    """
    exporter = EXPORTERS[format]
    place = Path(run.name) if run.is_shared else run.path / "model"
    path = place.with_name(place.name + exporter.suffix) if out is None else out
    if path.is_dir():
        raise OutputError(
            f"{path} is a folder; name a file, such as {path / 'model'}{exporter.suffix}"
        )
    check_writable(path.parent)
    backend = reference_backend()
    model = load_model(run, backend)
    manifest = run.manifest
    yield Notice(
        f"model {run.path} ({run.chosen}): {'+'.join(manifest.modalities)} -> "
        f"{', '.join(manifest.regions)}"
    )
    metadata = describe(run)
    network = deployed(model, run)
    with replacing(path) as temporary:
        exporter.export(network, metadata, temporary)
        exported = exporter.load(temporary)
        if exported.metadata != metadata:
            raise ExportError(f"the {format} file gives back other metadata than was written")
        batches = list(_batches(manifest, exporter.sizes))
        yield Began("check", len(batches), "batch")
        largest = 0.0
        for number, batch in enumerate(batches, start=1):
            expected = _expected(model, backend, manifest, batch)
            largest = max(largest, _compare(exported, batch, expected, format))
            yield Advanced("check", number, {"largest difference": largest})
    yield Wrote(path, f"{format} model, at most {largest:.1e} from the run's")
    return ExportReport(path, format, largest, path.stat().st_size)


def deployed(model: SegNet, run: Run) -> Deployed:
    """A copy of ``model`` with all that a file needs around it.

    It pools in the pure form: arithmetic that every device and format has, with the same answer
    everywhere. In TorchScript on a CPU that is as fast as the native kernel at width 16 and a tenth
    slower at width 64.
    """
    network = build(model.config, PURE)
    network.load_state_dict(model.state_dict())
    manifest = run.manifest
    return Deployed(
        network,
        list(manifest.modalities),
        list(manifest.regions),
        manifest.frame,
        json.dumps(describe(run), indent=1),
    )


def describe(run: Run) -> dict[str, Any]:
    """The metadata of an exported file: no paths of this machine and no names of patients."""
    manifest, calibration = run.manifest, run.calibration()
    pixels = manifest.unit == "px"
    return {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "notice": "For research. Not a medical device, not for clinical use.",
        "run": run.name,
        "trained": manifest.created,
        "modalities": list(manifest.modalities),
        "regions": [
            {"name": name, "labels": list(labels), "threshold": level, "min_component_share": share}
            for (name, labels), level, share in zip(
                manifest.regions.items(),
                calibration.thresholds,
                calibration.min_component_shares,
                strict=True,
            )
        ],
        "unit": manifest.unit,
        "spacing": manifest.spacing and list(manifest.spacing),
        "input": {
            "image": "[batch, modality, height, width], raw intensities",
            "mean, std": "[modality] or [batch, modality]",
            "foreground": "[batch, height, width] or [batch, 1, height, width], not 0 in the "
            "brain; optional, without it all is foreground",
        },
        "output": "[batch, region, height, width], probabilities; regions may overlap",
        "orientation": (
            "slices as stored in their files"
            if pixels
            else "axial slices: rows from anterior to posterior, columns from the patient's right "
            "to left (a volume [z, y, x] whose axes run to the superior, posterior and left)"
        ),
        "normalisation": {
            "done": "inside the file",
            "formula": "(image - mean) / std inside the foreground, 0 outside",
            "mean, std": "of each modality's raw intensities over the foreground of the whole "
            "scan, all slices together; std without Bessel's correction",
            "foreground": "the brain of a skull-stripped scan (where any modality is not the "
            "background's value), or else the head without the air",
            "missing modality": (
                "image 0, mean 0, std 1" + ("" if manifest.incomplete else "; not seen in training")
            ),
        },
        "padding": {
            "done": "inside the file: centred, with 0, and cut off the output",
            "frame": list(manifest.frame),
            "larger slices": "along an axis where they exceed it, to the next multiple of 32",
            "as in training": "cut the scan to the box of its foreground first",
        },
        "model": dict(manifest.model),
        "training": manifest.portable_config,
        "versions": {
            "training": dict(manifest.versions),
            "export": {"mriseg": __version__, "torch": torch.__version__},
        },
    }


def _batches(manifest: Manifest, sizes: Literal["any", "frame"]) -> Iterator[_Batch]:
    """Batches of noise, each of one scan, that between them take every way through the file."""
    generator = rng.generator(0, "export")
    m, (h, w) = len(manifest.modalities), manifest.frame

    def uniform(*shape: int, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(shape, generator=generator)

    shown: list[tuple[int, tuple[int, int], tuple[int, ...]]] = [(1, (h, w), (1, m))]
    if sizes == "any":
        # Within the frame, and in one side larger than it; neither a multiple of 32.
        shown = [(3, (h - 5, w - 3), (m,)), (1, (h + 13, w - 9), (1, m))]
    for b, size, statistics in shown:
        mean = uniform(*statistics, low=50, high=1000)
        std = uniform(*statistics, low=20, high=300)
        noise = torch.randn((b, m, *size), generator=generator)
        image = mean.view(-1, m, 1, 1) + std.view(-1, m, 1, 1) * noise
        inside = uniform(b, *size, low=0, high=1) > 0.3
        yield _Batch(image, mean, std, inside)
        yield _Batch(image[:1], mean, std, None)


def _expected(model: SegNet, backend: Backend, manifest: Manifest, batch: _Batch) -> Tensor:
    """What prediction gives for the slices of a batch, taken as one scan."""
    b, _, h, w = batch.image.shape
    inside = np.ones((b, h, w), dtype=bool)
    if batch.foreground is not None:
        inside = batch.foreground.numpy()
    norm = Normalisation(tuple(batch.mean.flatten().tolist()), tuple(batch.std.flatten().tolist()))
    case = PreparedCase(
        image=normalise(batch.image.transpose(0, 1).numpy(), inside, norm),
        modalities=manifest.modalities,
        labels=None,
        geometry=_GRID,
        box=Box((0, 0, 0), (b, h, w)),
        normalisation=norm,
    )
    predicted = probabilities(model, backend, case, manifest.task)
    return torch.from_numpy(predicted).transpose(0, 1)


def _compare(exported: LoadedExport, batch: _Batch, expected: Tensor, format: str) -> float:
    """The largest difference. Raises ExportError where it is too large."""
    try:
        output = exported.predict(batch.image, batch.mean, batch.std, batch.foreground)
    except Exception as error:
        # Each format has exceptions of its own.
        raise ExportError(
            f"the {format} file loads but does not run on a batch of shape "
            f"{list(batch.image.shape)}: {error}"
        ) from error
    if output.shape != expected.shape:
        raise ExportError(
            f"the {format} file gives an output of shape {list(output.shape)} where the model "
            f"gives {list(expected.shape)}"
        )
    largest = float((output - expected).abs().max())
    logs = [p.clamp(min=_SMALLEST).log() for p in (output, expected)]
    in_logs = float((logs[0] - logs[1]).abs().max())
    # Not-a-number compares as false, hence the double negation.
    if not (largest <= LIMIT and in_logs <= LOG_LIMIT):
        raise ExportError(
            f"the {format} file does not give the model's output: probabilities of slices "
            f"{list(batch.image.shape)} differ by up to {largest:.2g}, and their logarithms by "
            f"{in_logs:.2g}; allowed are {LIMIT:g} and {LOG_LIMIT:g}. Nothing was written"
        )
    return largest
