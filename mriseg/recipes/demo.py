"""The whole chain on the sample in the package, in a few minutes.

Three patients show that everything works, and what it looks like; they do not show how well.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from mriseg.backends.base import Backend
from mriseg.core.config import TrainConfig
from mriseg.errors import ConfigError
from mriseg.events import Notice, Recipe, Wrote
from mriseg.io.runs import fresh_path, open_run
from mriseg.io.sample import sample_dir
from mriseg.io.store import open_store
from mriseg.overview.shown import Shown
from mriseg.overview.values import Overview
from mriseg.recipes import overviews
from mriseg.recipes.about import Heard
from mriseg.recipes.demo_page import page_written
from mriseg.recipes.evaluate import evaluate
from mriseg.recipes.export import ExportReport, export
from mriseg.recipes.predict import predict
from mriseg.recipes.preprocess import preprocess
from mriseg.recipes.scores import EvaluateReport
from mriseg.recipes.train import TrainReport, train
from mriseg.recipes.transfer import TransferReport, transfer

# Of the time for training; the rest is the transfer's, which trains the decoder alone.
_TRAIN_SHARE = 0.85


@dataclass(frozen=True, repr=False)
class DemoReport(Shown):
    """What the demo made.

    Attributes:
        train: of three modalities, on two patients.
        transfer: of FLAIR alone, from that, with its encoder frozen.
        scores: of the first model on the third patient.
        mask: of that patient.
        picture: of that patient, the mask over its slices.
        page: ``report.html``, with the shipped model's mask beside the expert's outline.
        export: the exported model.
        seconds: in all.
    """

    train: TrainReport
    transfer: TransferReport
    scores: EvaluateReport
    mask: Path
    picture: Path
    page: Path
    export: ExportReport
    seconds: float

    def overview(self) -> Overview:
        """See `mriseg.overview.shown.Shown.overview`."""
        return overviews.demonstrated(self)


def demo(backend: Backend, out: Path, *, minutes: float = 2.5) -> Recipe[DemoReport]:
    """Preprocess, train, predict, evaluate, transfer and export.

    Args:
        backend: where to compute.
        out: the folder for all of it. A demo that was there before is left: its store is used
            again and this one gets a folder of its own beside it.
        minutes: for both trainings together; the rest takes about half a minute.

    Raises:
        ConfigError: ``minutes`` is not above 0.
        InputError: the package was installed without its sample.
        OutputError: ``out`` cannot be written, or holds another store of the name.
    """
    if not minutes > 0:
        raise ConfigError(f"minutes = {minutes:g}: expected a number above 0")
    started = time.monotonic()
    folder = fresh_path(out, "demo", datetime.now())
    heard = Heard()
    yield Notice("three patients of the LGG data set (Buda et al. 2019), one held out")

    yield Notice("1 of 6: preprocess")
    # One process: three small cases are done before others have started.
    yield from preprocess(sample_dir(), out / "sample.zarr", workers=1)
    store = open_store(out / "sample.zarr")

    yield Notice("2 of 6: train a narrow SegNet on two patients")
    config = TrainConfig(
        width=16,
        batch_size=8,
        slices_per_epoch=48,
        budget=minutes * 60 * _TRAIN_SHARE,
        # The time decides when to stop.
        patience=10_000,
    )
    trained = yield from train(store, config, backend, out=folder / "run")
    run = open_run(trained.run)

    yield Notice("3 of 6: predict the patient held out, from its own files")
    held = run.manifest.validation
    predicted = yield from predict(sample_dir(), folder / "masks", run, backend, cases=held)
    [result, *_] = predicted.results

    yield Notice("4 of 6: evaluate on that patient")
    scores = yield from evaluate(store, run, backend, cases=held, out=folder / "evaluation")

    yield Notice("5 of 6: transfer to FLAIR alone, the encoder frozen")
    narrower = config.model_copy(
        update={"modalities": ("FLAIR",), "budget": minutes * 60 * (1 - _TRAIN_SHARE)}
    )
    transferred = yield from transfer(
        store, run, narrower, backend, freeze="encoder", out=folder / "transferred"
    )

    yield Notice("6 of 6: export")
    exported = yield from export(run, "torchscript", folder / "model.pt")

    seconds = time.monotonic() - started
    page = yield from heard.listening(page_written(folder, store, run, seconds, heard, backend))
    yield Wrote(folder, "all of this demo")
    yield Wrote(page, "report")
    return DemoReport(
        train=trained,
        transfer=transferred,
        scores=scores,
        mask=result.mask,
        picture=result.mask.with_name(f"{result.case}.png"),
        page=page,
        export=exported,
        seconds=time.monotonic() - started,
    )
