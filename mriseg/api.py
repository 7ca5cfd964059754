"""mriseg from Python: each stage as a plain function; `import mriseg` offers these names.

A store or a run is given by its path or open, a store also by its URL (as text, such as
"s3://bucket/brats.zarr"), a run also by the name of a shipped model ("base"), and a backend by its
name or as `mriseg.select` gave it. Every function runs to its end and returns the recipe's report;
``on_event`` is handed each `mriseg.events.Event` on the way, from progress to notices. The command
line is made of these functions and a drawing of the events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Unpack

from mriseg.backends import AUTO, Backend, select
from mriseg.core.config import AugmentConfig, TrainConfig, TransferConfig, parse
from mriseg.core.keywords import ScanKeywords, TrainKeywords, TransferKeywords
from mriseg.core.regions import Regions
from mriseg.core.train_settings import height_width, names, training_config
from mriseg.engine.workloads import BenchConfig
from mriseg.errors import (
    BackendError,
    BusyError,
    CaseError,
    ConfigError,
    DamagedError,
    DivergedError,
    ExportError,
    IncompleteError,
    InputError,
    MrisegError,
    OutputError,
    RunError,
    StoreError,
    UnknownNameError,
)
from mriseg.events import Advanced, Began, Event, Measured, Notice, Skipped, Wrote, finish
from mriseg.io.location import Location, local_path
from mriseg.io.runs import Run, open_run
from mriseg.io.store import Store, open_store
from mriseg.recipes import bench as benches
from mriseg.recipes import compare as comparisons
from mriseg.recipes import evaluate as evaluations
from mriseg.recipes import evaluate_masks as mask_evaluations
from mriseg.recipes import export as exports
from mriseg.recipes import inspect as inspecting
from mriseg.recipes import predict as predictions
from mriseg.recipes import preprocess as preprocessing
from mriseg.recipes import share as sharing
from mriseg.recipes import train as training
from mriseg.recipes import transfer as transfers
from mriseg.recipes import verify as verification
from mriseg.recipes.bench import BenchReport
from mriseg.recipes.compare import CompareOptions, CompareReport
from mriseg.recipes.demo import DemoReport
from mriseg.recipes.demo import demo as demo_recipe
from mriseg.recipes.doctor import DoctorReport
from mriseg.recipes.doctor import doctor as doctor_recipe
from mriseg.recipes.export import ExportReport
from mriseg.recipes.inspect import InspectedCase, InspectReport
from mriseg.recipes.predict import CasePrediction, PredictOptions, PredictReport
from mriseg.recipes.preprocess import CaseReport, PreprocessReport
from mriseg.recipes.scores import EvaluateReport
from mriseg.recipes.share import ShareReport
from mriseg.recipes.train import TrainReport
from mriseg.recipes.transfer import TransferReport
from mriseg.recipes.verify import VerifyReport
from mriseg.recipes.workers import carry_out

# What `import mriseg` offers, and the one list of it.
__all__ = [
    "Advanced",
    "AugmentConfig",
    "Backend",
    "BackendError",
    "Began",
    "BenchConfig",
    "BenchReport",
    "BusyError",
    "CaseError",
    "CasePrediction",
    "CaseReport",
    "CompareOptions",
    "CompareReport",
    "ConfigError",
    "DamagedError",
    "DemoReport",
    "DivergedError",
    "DoctorReport",
    "EvaluateReport",
    "Event",
    "ExportError",
    "ExportReport",
    "IncompleteError",
    "InputError",
    "InspectReport",
    "InspectedCase",
    "Measured",
    "MrisegError",
    "Notice",
    "OutputError",
    "PredictOptions",
    "PredictReport",
    "PreprocessReport",
    "Run",
    "RunError",
    "ShareReport",
    "Skipped",
    "Store",
    "StoreError",
    "TrainConfig",
    "TrainReport",
    "TransferConfig",
    "TransferReport",
    "UnknownNameError",
    "VerifyReport",
    "Wrote",
    "bench",
    "compare",
    "demo",
    "doctor",
    "evaluate",
    "evaluate_masks",
    "export",
    "finish",
    "inspect",
    "open_run",
    "open_store",
    "predict",
    "preprocess",
    "resume",
    "select",
    "share",
    "train",
    "transfer",
    "verify",
]

OnEvent = Callable[[Event], None]
Stored = str | Path | Location | Store


def inspect(
    source: str | Path,
    *,
    csv: str | Path | None = None,
    on_event: OnEvent | None = None,
    **scans: Unpack[ScanKeywords],
) -> InspectReport:
    """Look into a folder of scans: what would be read, and which files would not be, and why.

    See `mriseg.recipes.inspect.inspect` for the arguments and what is raised.
    """
    where = local_path(source, "a folder of scans")
    return finish(inspecting.inspect(where, csv=_path(csv), **scans), on_event)


def preprocess(
    source: str | Path,
    out: str | Path | Location,
    *,
    strict: bool = False,
    overwrite: bool = False,
    on_event: OnEvent | None = None,
    **scans: Unpack[ScanKeywords],
) -> PreprocessReport:
    """Create or continue a store from a folder of scans or a table of cases.

    In a script, call it under ``if __name__ == "__main__":``, or else one process reads all cases.

    See `mriseg.recipes.preprocess.preprocess` for the arguments and what is raised. A case that
    cannot be used is in the report, not raised, unless ``strict``.
    """
    where = local_path(source, "a folder of scans")
    recipe = preprocessing.preprocess(
        where, Location.of(out), strict=strict, overwrite=overwrite, **scans
    )
    return carry_out(recipe, on_event)


def train(
    store: Stored,
    config: TrainConfig | None = None,
    *,
    backend: str | Backend = AUTO,
    out: str | Path | None = None,
    on_event: OnEvent | None = None,
    **settings: Unpack[TrainKeywords],
) -> TrainReport:
    """Train a SegNet on a store.

    Args:
        store: what `preprocess` made.
        config: all that decides the training; None: the defaults.
        backend: where to compute.
        out: the run folder; None: a new one under ``runs/``.
        on_event: is handed each event.
        settings: go over ``config``, as `mriseg.core.train_settings.training_config` reads them:
            ``train(store, modalities="FLAIR", budget="30m")``.

    Raises:
        ConfigError, InputError, OutputError, DivergedError: see `mriseg.recipes.train.train`.
    """
    chosen = training_config(config, settings)
    if chosen.transfer is not None:
        raise ConfigError(
            "transfer is a setting of transfers alone: take it out, or use mriseg transfer"
        )
    where = _backend(backend)
    recipe = training.train(_store(store), chosen, where, out=_path(out))
    return carry_out(recipe, on_event)


def resume(
    run: str | Path | Run,
    *,
    store: Stored | None = None,
    backend: str | Backend = AUTO,
    on_event: OnEvent | None = None,
) -> TrainReport:
    """Continue a training that was stopped, as if it had not been.

    Args:
        run: its folder.
        store: where the store is now; None: where it was.
        backend: where to compute.
        on_event: is handed each event.

    Raises:
        RunError, InputError: see `mriseg.recipes.train.resume`.
    """
    where = _backend(backend)
    opened = None if store is None else _store(store)
    return carry_out(training.resume(_run(run), where, opened), on_event)


def transfer(
    store: Stored,
    source: str | Path | Run,
    config: TrainConfig | None = None,
    *,
    new_head: bool = False,
    weights: Literal["source", "random"] = "source",
    backend: str | Backend = AUTO,
    out: str | Path | None = None,
    on_event: OnEvent | None = None,
    **settings: Unpack[TransferKeywords],
) -> TransferReport:
    """Re-train the network of the run ``source`` for the task of ``store``.

    Args:
        store: of the new task.
        source: the run to start from.
        config: of the training; its width, unless set, is the source's.
        new_head: re-initialise the head even where regions have the same name.
        weights: "random" re-initialises all of them, as the control of a comparison.
        backend: where to compute.
        out: the run folder; None: a new one under ``runs/``.
        on_event: is handed each event.
        settings: go over ``config``, as in `train`; those of `mriseg.core.config.TransferConfig`
            over its ``transfer``: ``transfer(store, run, freeze="none", schedule="lp-ft")``.

    Raises:
        ConfigError, InputError, OutputError, DivergedError: see `mriseg.recipes.transfer.transfer`.
    """
    run = _run(source)
    inherited = {"width": run.manifest.model["width"]}
    given = {name: value for name, value in settings.items() if value is not None}
    policy = {name: given.pop(name) for name in TransferConfig.model_fields if name in given}
    chosen = training_config(inherited, config, given, {"transfer": policy})
    where = _backend(backend)
    recipe = transfers.transfer(
        _store(store),
        run,
        chosen,
        where,
        new_head=new_head,
        weights=weights,
        out=_path(out),
    )
    return carry_out(recipe, on_event)


def compare(
    store: Stored,
    source: str | Path | Run,
    config: TrainConfig | None = None,
    *,
    methods: str | Sequence[str] | None = None,
    sizes: str | Sequence[str] | None = None,
    folds: int = 5,
    rounds: int | None = None,
    seeds: int = 1,
    new_head: bool = False,
    backend: str | Backend = AUTO,
    out: str | Path | None = None,
    on_event: OnEvent | None = None,
    **settings: Unpack[TrainKeywords],
) -> CompareReport:
    """Whether a transfer from the run ``source`` helps, against training from scratch.

    Args:
        store: of the new task.
        source: the run to start from.
        config: of each training; its width, unless set, is the source's.
        methods: names in `mriseg.core.comparison.METHODS`, as in "full,lp-ft"; None: the usual.
        sizes: numbers of patients that train, or "all", as in "5,10,all"; None: those that fit.
        folds: how many parts the patients are split into, each held out in turn.
        rounds: how many of the folds are; None: all.
        seeds: how often all of it is repeated.
        new_head: a transfer re-initialises its head even where regions have the same name.
        backend: where to compute.
        out: the folder, new or of this comparison begun before; None: a new one under ``runs/``.
        on_event: is handed each event.
        settings: go over ``config``, as in `train`; epochs and budget are of one training.

    Raises:
        ConfigError, InputError, OutputError, DivergedError: see `mriseg.recipes.compare.compare`.
    """
    run = _run(source)
    inherited = {"width": run.manifest.model["width"]}
    chosen = training_config(inherited, config, settings)
    options = CompareOptions(_names(methods), _names(sizes), folds, rounds, seeds, new_head)
    where = _backend(backend)
    recipe = comparisons.compare(_store(store), run, chosen, where, options, out=_path(out))
    return carry_out(recipe, on_event)


def predict(
    source: str | Path | Location,
    out: str | Path,
    run: str | Path | Run,
    options: PredictOptions | None = None,
    *,
    layout: str = "auto",
    channels: str | Sequence[str] | None = None,
    cases: str | Sequence[str] | None = None,
    backend: str | Backend = AUTO,
    on_event: OnEvent | None = None,
) -> PredictReport:
    """Write masks for scans, each on its scan's own grid.

    See `mriseg.recipes.predict.predict` for the arguments and what is raised. A case that cannot
    be used is in the report's ``skipped``, not raised.
    """
    where = _backend(backend)
    recipe = predictions.predict(
        Location.of(source),
        local_path(out, "a folder of masks"),
        _run(run),
        where,
        options,
        layout=layout,
        channels=_names(channels),
        cases=_names(cases),
    )
    return carry_out(recipe, on_event)


def evaluate(
    store: Stored,
    run: str | Path | Run,
    options: PredictOptions | None = None,
    *,
    include_seen: bool = False,
    cases: str | Sequence[str] | None = None,
    out: str | Path | None = None,
    pictures: bool = True,
    backend: str | Backend = AUTO,
    on_event: OnEvent | None = None,
) -> EvaluateReport:
    """Measure a model on the labelled cases of a store that it was not trained on.

    See `mriseg.recipes.evaluate.evaluate` for the arguments and what is raised.
    """
    where = _backend(backend)
    recipe = evaluations.evaluate(
        _store(store),
        _run(run),
        where,
        options=options,
        include_seen=include_seen,
        cases=_names(cases),
        out=_path(out),
        pictures=pictures,
    )
    return carry_out(recipe, on_event)


def evaluate_masks(
    masks: str | Path,
    truths: str | Path,
    *,
    regions: str | Regions | None = None,
    tolerance: float = 2.0,
    out: str | Path | None = None,
    pictures: bool = True,
    on_event: OnEvent | None = None,
) -> EvaluateReport:
    """Measure mask files of any origin against truth files of the same names.

    See `mriseg.recipes.evaluate_masks.evaluate_masks` for the arguments and what is raised.
    """
    recipe = mask_evaluations.evaluate_masks(
        local_path(masks, "a folder of masks"),
        local_path(truths, "a folder of truths"),
        regions=regions,
        tolerance=tolerance,
        out=_path(out),
        pictures=pictures,
    )
    return carry_out(recipe, on_event)


def export(
    run: str | Path | Run,
    format: str = "torchscript",
    out: str | Path | None = None,
    *,
    on_event: OnEvent | None = None,
) -> ExportReport:
    """Write a run's model as a file that other programs load, checked against the model.

    See `mriseg.recipes.export.export` for the arguments and what is raised.
    """
    return carry_out(exports.export(_run(run), format, _path(out, "an exported file")), on_event)


def share(
    run: str | Path | Run,
    out: str | Path,
    *,
    evaluations: Mapping[str, str | Path] | None = None,
    data: str | None = None,
    terms: str | None = None,
    keep_names: bool = False,
    on_event: OnEvent | None = None,
) -> ShareReport:
    """Make a slim folder of a run's model, with a model card, to hand to others.

    See `mriseg.recipes.share.share` for the arguments and what is raised.
    """
    recipe = sharing.share(
        _run(run),
        local_path(out, "a shared model"),
        evaluations={
            text: local_path(path, "an evaluation") for text, path in (evaluations or {}).items()
        },
        data=data,
        terms=terms,
        keep_names=keep_names,
    )
    return carry_out(recipe, on_event)


def verify(
    path: str | Path | Location,
    *,
    sources: str | Path | Sequence[str | Path] = (),
    layout: str = "auto",
    channels: str | Sequence[str] | None = None,
    on_event: OnEvent | None = None,
) -> VerifyReport:
    """Whether a store, a run or an exported file is what was written, and its sources unchanged.

    See `mriseg.recipes.verify.verify` for the arguments and what is raised. What is wrong is in the
    report's ``faults``, and raised by `mriseg.recipes.verify.check_whole`.
    """
    given = [sources] if isinstance(sources, str | Path) else sources
    folders = [local_path(folder, "a folder of scans") for folder in given]
    recipe = verification.verify(path, sources=folders, layout=layout, channels=_names(channels))
    return carry_out(recipe, on_event)


def bench(
    store: Stored | None = None,
    *,
    width: int = 64,
    batch_size: int = 10,
    size: str | tuple[int, int] = (240, 240),
    quick: bool = False,
    backend: str | Backend = AUTO,
    on_event: OnEvent | None = None,
) -> BenchReport:
    """Measure this machine: a training step, inference, reading and preprocessing.

    See `mriseg.recipes.bench.bench` for the arguments and what is raised; ``size`` is height and
    width, or a text such as "240x240".
    """
    settings = {"width": width, "batch_size": batch_size, "size": height_width(size)}
    config = parse(BenchConfig, {**settings, "quick": quick})
    opened = None if store is None else _store(store)
    return carry_out(benches.bench(_backend(backend), config, opened), on_event)


def doctor(
    store: Stored | None = None,
    *,
    width: int = 64,
    batch_size: int = 10,
    size: str | tuple[int, int] | None = None,
    backend: str | Backend = AUTO,
    on_event: OnEvent | None = None,
) -> DoctorReport:
    """Whether this machine computes correctly, how large a batch it holds, how long an epoch takes.

    See `mriseg.recipes.doctor.doctor` for the arguments and what is raised; ``size`` is height and
    width, or a text such as "240x240". What goes wrong is in the report, and raised by
    `mriseg.recipes.doctor.check_fit`.
    """
    where, opened = _backend(backend), None if store is None else _store(store)
    frame = None if size is None else height_width(size)
    recipe = doctor_recipe(where, opened, width=width, batch_size=batch_size, size=frame)
    return carry_out(recipe, on_event)


def demo(
    out: str | Path = "demo",
    *,
    minutes: float = 2.5,
    backend: str | Backend = AUTO,
    on_event: OnEvent | None = None,
) -> DemoReport:
    """The whole chain on the sample in the package; see `mriseg.recipes.demo.demo`."""
    where = _backend(backend)
    return carry_out(demo_recipe(where, local_path(out, "the demo"), minutes=minutes), on_event)


def _backend(given: str | Backend) -> Backend:
    return given if isinstance(given, Backend) else select(given)


def _store(given: Stored) -> Store:
    return given if isinstance(given, Store) else open_store(given)


def _run(given: str | Path | Run) -> Run:
    return given if isinstance(given, Run) else open_run(given)


def _path(given: str | Path | None, what: str = "the output") -> Path | None:
    return None if given is None else local_path(given, what)


def _names(given: str | Sequence[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    return names(given) if isinstance(given, str) else tuple(given)
