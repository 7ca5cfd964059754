"""Make a model: inspect, preprocess, train, transfer, compare, forecast."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Unpack

from mriseg.api._given import (
    Computing,
    OnEvent,
    Stored,
    StudyKeywords,
    TransferringKeywords,
    names_of,
    path_of,
    run_of,
    shared_backend,
    store_of,
    trackers_of,
    where_of,
)
from mriseg.api._running import run_to_end
from mriseg.api._settings import lists_settings
from mriseg.backends import AUTO, Backend, launch
from mriseg.core.config import TrainConfig, TransferConfig
from mriseg.core.keywords import ScanKeywords, TrainKeywords
from mriseg.core.train_settings import training_config
from mriseg.errors import ConfigError
from mriseg.io.location import Location, local_path
from mriseg.io.runs import Run
from mriseg.recipes import compare as comparisons
from mriseg.recipes import forecast as forecasts
from mriseg.recipes import inspect as inspecting
from mriseg.recipes import preprocess as preprocessing
from mriseg.recipes import resume as resuming
from mriseg.recipes import train as training
from mriseg.recipes import transfer as transfers
from mriseg.recipes.compare import CompareOptions, CompareReport
from mriseg.recipes.forecast import ForecastOptions, ForecastReport
from mriseg.recipes.inspect import InspectReport
from mriseg.recipes.preparations import preparation_of
from mriseg.recipes.preprocess import PreprocessReport
from mriseg.recipes.tracking import tracked
from mriseg.recipes.train import TrainReport
from mriseg.recipes.transfer import TransferReport


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
    return run_to_end(inspecting.inspect(where, csv=path_of(csv), **scans), on_event)


def preprocess(
    source: str | Path,
    out: str | Path | Location,
    *,
    strict: bool = False,
    overwrite: bool = False,
    reference: str | None = None,
    align: bool = False,
    strip: str | None = None,
    on_event: OnEvent | None = None,
    **scans: Unpack[ScanKeywords],
) -> PreprocessReport:
    """Create or continue a store from a folder of scans or a table of cases.

    Scans of a session that lie on several grids are brought onto that of ``reference`` (the
    modality with the finest pixels), after ``align`` has registered them to it, and ``strip`` names
    what removes all but the brain: see `mriseg.core.preparation.Preparation`. A run remembers it,
    and `predict` does the same to new scans.

    In a script, call it under ``if __name__ == "__main__":``, or else one process reads all cases.

    See `mriseg.recipes.preprocess.preprocess` for the arguments and what is raised. A case that
    cannot be used is in the report, not raised, unless ``strict``.
    """
    where = local_path(source, "a folder of scans")
    recipe = preprocessing.preprocess(
        where,
        Location.of(out),
        strict=strict,
        overwrite=overwrite,
        preparation=preparation_of(reference, align, strip),
        **scans,
    )
    return run_to_end(recipe, on_event)


@lists_settings(TrainConfig)
def train(
    store: Stored,
    config: TrainConfig | None = None,
    *,
    backend: str | Backend = AUTO,
    out: str | Path | None = None,
    resume: bool = False,
    trackers: str | Sequence[str] = (),
    on_event: OnEvent | None = None,
    **settings: Unpack[TrainKeywords],
) -> TrainReport:
    """Train a SegNet on a store.

    Args:
        store: what `preprocess` made.
        config: all that decides the training; None: the defaults.
        backend: where to compute.
        out: the run folder; None: a new one under ``runs/``.
        resume: continue the run in ``out`` if it was stopped, so that the same call is right each
            time; one that has ended is left as it is. `mriseg.resume` takes no settings.
        trackers: names in `mriseg.io.trackers.TRACKERS`, as in "mlflow"; see `mriseg.resume`.
        on_event: is handed each event.
        settings: go over ``config``, as `mriseg.core.train_settings.training_config` reads them:
            ``train(store, modalities="FLAIR", budget="30m")``.

    Raises:
        ConfigError, InputError, OutputError, DivergedError: see `mriseg.recipes.train.train` and
            `mriseg.recipes.train.train_or_resume`.
    """
    chosen = training_config(config, settings)
    if chosen.transfer is not None:
        raise ConfigError(
            "transfer is a setting of transfers alone: take it out, or use mriseg transfer"
        )
    followed = trackers_of(trackers)
    ranks = launch.ranks()
    with ranks.explaining():
        where = shared_backend(backend, ranks)
        path = path_of(out)
        if not resume:
            recipe = training.train(store_of(store), chosen, where, out=path)
        elif path is not None:
            recipe = resuming.train_or_resume(store_of(store), chosen, where, out=path)
        else:
            raise ConfigError("resume continues the run in a folder: name it with out")
        return run_to_end(tracked(recipe, followed), on_event, ranks)


def resume(
    run: str | Path | Run,
    *,
    store: Stored | None = None,
    backend: str | Backend = AUTO,
    trackers: str | Sequence[str] = (),
    on_event: OnEvent | None = None,
) -> TrainReport:
    """Continue a training that was stopped, as if it had not been.

    Args:
        run: its folder.
        store: where the store is now; None: where it was.
        backend: where to compute.
        trackers: to add to those that the run was begun with, which go on by themselves.
        on_event: is handed each event.

    Raises:
        RunError, InputError: see `mriseg.recipes.train.resume`.
    """
    followed = trackers_of(trackers)
    ranks = launch.ranks()
    with ranks.explaining():
        where = shared_backend(backend, ranks)
        opened = None if store is None else store_of(store)
        recipe = resuming.resume(run_of(run), where, opened)
        return run_to_end(tracked(recipe, followed), on_event, ranks)


@lists_settings(TransferConfig, TrainConfig)
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
    **settings: Unpack[TransferringKeywords],
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
            ``trackers`` are those of `train`.

    Raises:
        ConfigError, InputError, OutputError, DivergedError: see `mriseg.recipes.transfer.transfer`.
    """
    followed = trackers_of(settings.pop("trackers", ()))
    ranks = launch.ranks()
    with ranks.explaining():
        run = run_of(source)
        inherited = {"width": run.manifest.model["width"]}
        given = {name: value for name, value in settings.items() if value is not None}
        policy = {name: given.pop(name) for name in TransferConfig.model_fields if name in given}
        chosen = training_config(inherited, config, given, {"transfer": policy})
        recipe = transfers.transfer(
            store_of(store),
            run,
            chosen,
            shared_backend(backend, ranks),
            new_head=new_head,
            weights=weights,
            out=path_of(out),
        )
        return run_to_end(tracked(recipe, followed), on_event, ranks)


@lists_settings(TrainConfig)
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
    backend: Computing = AUTO,
    out: str | Path | None = None,
    on_event: OnEvent | None = None,
    **settings: Unpack[StudyKeywords],
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
            ``executor`` and ``workers`` say who does the trainings, see `mriseg.predict`.

    Raises:
        ConfigError, InputError, OutputError, DivergedError: see `mriseg.recipes.compare.compare`.
    """
    run = run_of(source)
    inherited = {"width": run.manifest.model["width"]}
    executor, workers = settings.pop("executor", None), settings.pop("workers", None)
    chosen = training_config(inherited, config, settings)
    options = CompareOptions(names_of(methods), names_of(sizes), folds, rounds, seeds, new_head)
    where = where_of(backend, executor, workers)
    recipe = comparisons.compare(store_of(store), run, chosen, where, options, out=path_of(out))
    return run_to_end(recipe, on_event)


def forecast(
    store: Stored,
    config: TrainConfig | None = None,
    *,
    source: str | Path | Run | None = None,
    options: ForecastOptions | None = None,
    backend: Computing = AUTO,
    out: str | Path | None = None,
    on_event: OnEvent | None = None,
    **settings: Unpack[StudyKeywords],
) -> ForecastReport:
    """What more patients would be worth, from trainings with fewer of those that are there.

    Args:
        store: of labelled cases.
        config: of each training; its width, unless set, is the source's.
        source: the run that each training transfers from; None: from scratch.
        options: sizes, folds and seeds; None: the defaults.
        backend: where to compute.
        out: the folder, new or of this forecast begun before; None: a new one under ``runs/``.
        on_event: is handed each event.
        settings: go over ``config``, as in `train`; epochs and budget are of one training.
            ``executor`` and ``workers`` say who does the trainings, see `mriseg.predict`.

    Raises:
        ConfigError, InputError, OutputError, DivergedError: see `mriseg.recipes.forecast.forecast`.
    """
    run = None if source is None else run_of(source)
    inherited = {} if run is None else {"width": run.manifest.model["width"]}
    executor, workers = settings.pop("executor", None), settings.pop("workers", None)
    chosen = training_config(inherited, config, settings)
    where = where_of(backend, executor, workers)
    recipe = forecasts.forecast(store_of(store), run, chosen, where, options, out=path_of(out))
    return run_to_end(recipe, on_event)
