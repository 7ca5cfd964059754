"""A run's model as a file for other programs, compared with the model before it is called done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mriseg import __version__
from mriseg.backends import reference_backend
from mriseg.core.deploy import Deployed
from mriseg.core.folding import folded
from mriseg.core.ops import PURE
from mriseg.core.segnet import SegNet
from mriseg.engine.inference import ready
from mriseg.errors import ExportError, OutputError
from mriseg.events import Notice, Recipe, Wrote
from mriseg.io.disk.atomic import replacing
from mriseg.io.disk.schemas import as_json
from mriseg.io.disk.space import check_writable
from mriseg.io.exporters import EXPORTERS
from mriseg.io.runs import Run
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews
from mriseg.recipes.export_check import Check
from mriseg.recipes.load import load_model

FORMAT = "mriseg-export"
FORMAT_VERSION = 1


@dataclass(frozen=True, repr=False)
class ExportReport(Shown):
    """What `export` wrote.

    Attributes:
        path: the file.
        format: its name in `mriseg.io.exporters.EXPORTERS`.
        largest_difference: of any probability, between the file and the model.
        size_bytes: of the file.
        checked_by: what ran the file for the comparison.
    """

    path: Path
    format: str
    largest_difference: float
    size_bytes: int
    checked_by: str = ""

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.exported(self)


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
        BackendError: the format needs a library that is not installed; which, and how to get it.
        RunError: the run has no weights, damaged ones, or was never trained.
        OutputError: ``out`` cannot be written.
        ExportError: the file does not load or does not give the model's output; nothing is left.
    """
    exporter = EXPORTERS[format]
    path = target_of(run, exporter.suffix, out)
    backend = reference_backend()
    model = load_model(run, backend)
    manifest = run.manifest
    yield Notice(
        f"model {run.path} ({run.chosen}): {'+'.join(manifest.modalities)} -> "
        f"{', '.join(manifest.regions)}"
    )
    yield Notice(f"{format}: {exporter.summary}")
    metadata = describe(run)
    network = deployed(model, run)
    with replacing(path) as temporary:
        exporter.export(network, metadata, temporary)
        exported = exporter.load(temporary)
        if exported.metadata != metadata:
            raise ExportError(f"the {format} file gives back other metadata than was written")
        check = Check(format, exporter.sizes, ready(model, backend, plain=True), backend, manifest)
        largest = yield from check.differences(exported)
    yield Wrote(path, f"{format} model, at most {largest:.1e} from the run's ({exported.runtime})")
    return ExportReport(path, format, largest, path.stat().st_size, exported.runtime)


def target_of(run: Run, suffix: str, out: Path | None) -> Path:
    """Where a file is written: ``out``, or a name that ends in ``suffix``; see `export`.

    Raises:
        OutputError: it cannot be written.
    """
    place = Path(run.name) if run.is_shared else run.path / "model"
    path = place.with_name(place.name + suffix) if out is None else out
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file, such as {path / 'model'}{suffix}")
    check_writable(path.parent)
    return path


def deployed(model: SegNet, run: Run) -> Deployed:
    """A copy of ``model`` with all that a file needs around it.

    Batch normalisation is folded, as in prediction. It pools in the pure form: arithmetic that
    every device and format has, with the same answer everywhere. In TorchScript on a CPU that is as
    fast as the native kernel at width 16 and a tenth slower at width 64.
    """
    network = folded(model)
    network.set_ops(PURE)
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
        "incomplete": manifest.incomplete,
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
        "preparation": as_json(manifest.preparation),
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
