"""A run's model as an ONNX file in integers: kept only if it segments as well as the model.

Numbers of an integer file are not the model's, so the comparison is by what counts: the Dice of
labelled patients that no training of the model saw, the run's own validation patients or others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mriseg.backends import Backend, reference_backend
from mriseg.core import metrics
from mriseg.core.postprocess import threshold
from mriseg.core.prepare import PreparedCase
from mriseg.core.regions import region_masks
from mriseg.core.wording import counted
from mriseg.engine.inference import probabilities, ready
from mriseg.errors import ExportError, InputError
from mriseg.events import Advanced, Began, Notice, Recipe, Wrote
from mriseg.io.disk.atomic import replacing, staging
from mriseg.io.exporters import EXPORTERS, LoadedExport
from mriseg.io.exporters.int8 import quantise
from mriseg.io.runs import Manifest, Run
from mriseg.io.store import Store
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews
from mriseg.recipes.export import describe, export, target_of
from mriseg.recipes.load import load_model

MOST_LOST = 0.01
"""How much lower the mean Dice of these patients may be than the model's."""

SUFFIX = ".int8.onnx"

# Slices that the scales of the integers are taken from, and the cases that they are spread over.
_SLICES, _CASES = 48, 12
# Slices that are timed, and how often; the fastest counts.
_TIMED, _ROUNDS = 16, 3


@dataclass(frozen=True, repr=False)
class Int8Report(Shown):
    """What `export_int8` wrote.

    Attributes:
        path: the file.
        size_bytes: of it.
        float_bytes: of the same file in float32.
        cases: how many patients it was compared on.
        dice: their mean Dice, over regions and cases, by the file.
        model_dice: the same by the model.
        seconds: of a slice, on this machine: of "int8", "float" (the file in float32) and
            "predict" (the model in mriseg), timed in turns.
    """

    path: Path
    size_bytes: int
    float_bytes: int
    cases: int
    dice: float
    model_dice: float
    seconds: dict[str, float]

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.quantised(self)


def export_int8(run: Run, store: Store, out: Path | None = None) -> Recipe[Int8Report]:
    """Write a run's best model as ONNX whose decoder computes in 8-bit integers.

    Args:
        run: the model.
        store: holds labelled patients that the model was not trained on, which it is measured on,
            and others, which its scales are taken from.
        out: the file, which is replaced if it exists; None: as of
            `mriseg.recipes.export.export`, with the suffix ``.int8.onnx``.

    Raises:
        InputError: the store lacks one of the two.
        BackendError: onnx or onnxruntime is not installed.
        OutputError: ``out`` cannot be written.
        ExportError: the float file is not the model, or the file in integers segments worse than
            the model by more than 0.01; nothing is left.
    """
    path = target_of(run, SUFFIX, out)
    held, others = _cases(run.manifest, store)
    metadata = describe(run) | {
        "precision": "int8: the decoder's convolutions; the encoder and the head are in float32"
    }
    with staging(path.parent) as folder:
        plain = folder / "float.onnx"
        yield from _without_files(export(run, "onnx", plain))
        yield Notice(f"scales from {counted(len(others), 'case')}, Dice on {len(held)}")
        with replacing(path) as temporary:
            quantise(plain, _slices(store, others, run.manifest), metadata, temporary)
            files = {
                "int8": EXPORTERS["onnx"].load(temporary),
                "float": EXPORTERS["onnx"].load(plain),
            }
            comparison = _Comparison(run, reference_backend(), files)
            dice, model_dice = yield from comparison.dice(store, held)
            if not dice >= model_dice - MOST_LOST:
                raise ExportError(
                    f"in integers the model is worse: Dice {dice:.3f} on "
                    f"{counted(len(held), 'patient')} of whom it saw nothing, where the model has "
                    f"{model_dice:.3f}; {MOST_LOST:g} less is allowed. Nothing was written; "
                    f"use: mriseg export onnx"
                )
            seconds = comparison.seconds(store.read_case(held[0]))
            size = plain.stat().st_size
    yield Wrote(path, f"onnx model in int8, Dice {dice:.3f} where the model has {model_dice:.3f}")
    return Int8Report(path, path.stat().st_size, size, len(held), dice, model_dice, seconds)


def _without_files(recipe: Recipe[Any]) -> Recipe[Any]:
    """A recipe whose files go away again: that it wrote them is not said."""
    while True:
        try:
            event = next(recipe)
        except StopIteration as stop:
            return stop.value
        if not isinstance(event, Wrote):
            yield event


def _cases(manifest: Manifest, store: Store) -> tuple[list[str], list[str]]:
    """The labelled patients of a store that no training of a run saw, and the other cases."""
    index = store.index()
    labelled = [case for case in index.cases if case.labelled]
    seen = manifest.seen_among(labelled)
    held = [case.name for case in labelled if case.name not in seen]
    others = [case.name for case in index.cases if case.name not in held]
    if not others:
        # A store of strangers alone: some of them give the scales, and are not measured.
        held, others = held[::2], held[1::2]
    if held and others:
        return held, others
    lacking = (
        "no labelled case that the model was not trained on"
        if not held
        else "one case that can be measured on, and none beside it"
    )
    raise InputError(
        f"{store.location} has {lacking}, and it takes both: patients that the training did not "
        f"see to measure on, and others for the scales. Give the store that the run was trained "
        f"on ({manifest.store}) if it has validation patients, or one of other labelled patients"
    )


def _slices(store: Store, names: Sequence[str], manifest: Manifest) -> Iterator[Tensor]:
    """Slices [1, m, h, w] spread over cases spread over the store."""
    places = np.linspace(0, len(names) - 1, min(_CASES, len(names))).round().astype(int)
    each = -(-_SLICES // len(places))
    for place in places:
        case = store.read_case(names[place])
        image = case.channels(manifest.modalities)
        full = np.flatnonzero(image.any(axis=(0, 2, 3)))
        for z in full[np.linspace(0, len(full) - 1, min(each, len(full))).round().astype(int)]:
            yield torch.from_numpy(image[:, z : z + 1].swapaxes(0, 1).copy())


class _FromFile(nn.Module):
    """A file in a network's place: slices that are prepared in, logits out."""

    def __init__(self, exported: LoadedExport) -> None:
        super().__init__()
        self._predict = exported.predict

    def forward(self, x: Tensor) -> Tensor:
        m = x.shape[1]
        given = self._predict(x, torch.zeros(m), torch.ones(m), None)
        return torch.logit(given, eps=1e-7)


class _Comparison:
    """Files and the model, each in the place of the network of `probabilities`."""

    def __init__(self, run: Run, backend: Backend, files: dict[str, LoadedExport]) -> None:
        self._backend, self._task = backend, run.manifest.task
        self._levels = run.calibration().thresholds
        self._networks: dict[str, nn.Module] = {
            name: _FromFile(exported) for name, exported in files.items()
        }
        self._networks["predict"] = ready(load_model(run, backend), backend)

    def dice(self, store: Store, names: Sequence[str]) -> Recipe[tuple[float, float]]:
        """The mean Dice over regions and cases, in integers and by the model."""
        yield Began("validate", len(names), "case")
        scores: dict[str, list[float]] = {"int8": [], "predict": []}
        for done, name in enumerate(names, start=1):
            case = store.read_case(name)
            assert case.labels is not None
            truth = region_masks(case.labels, self._task.regions)
            for which, values in scores.items():
                masks = threshold(self._run(which, case), self._levels)
                values += (
                    metrics.dice(metrics.count(mask, true))
                    for mask, true in zip(masks, truth, strict=True)
                )
            yield Advanced("validate", done, {w: fmean(v) for w, v in scores.items()}, name)
        return fmean(scores["int8"]), fmean(scores["predict"])

    def seconds(
        self, case: PreparedCase, *, now: Callable[[], float] = time.perf_counter
    ) -> dict[str, float]:
        """Seconds of a slice by each, in turns, so that what else the machine does meets all."""
        depth = case.image.shape[1]
        count = min(_TIMED, depth)
        middle = slice((depth - count) // 2, (depth - count) // 2 + count)
        thin = replace(case, image=case.image[:, middle], labels=None)
        best = dict.fromkeys(self._networks, float("inf"))
        for _ in range(_ROUNDS):
            for name in best:
                began = now()
                self._run(name, thin)
                best[name] = min(best[name], (now() - began) / count)
        return best

    def _run(
        self, which: str, case: PreparedCase
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return probabilities(self._networks[which], self._backend, case, self._task)
