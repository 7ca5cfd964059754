"""The command line: parse, call the function of `mriseg.api`, draw its events, show its report.

torch, zarr and nibabel take seconds to load, so commands import what they need when they run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mriseg import __version__
from mriseg.cli import options, render
from mriseg.cli.group import Commands
from mriseg.cli.reports import machine as gauges
from mriseg.cli.reports import results as tables
from mriseg.errors import ConfigError, IncompleteError
from mriseg.events import Event, Notice

if TYPE_CHECKING:
    from mriseg.backends import Backend
    from mriseg.core.config import TrainConfig
    from mriseg.recipes.predict import PredictOptions

app = typer.Typer(
    cls=Commands,
    name="mriseg",
    help="Train a SegNet on brain MRI, carry it over to the next task, and export it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

RUNS = Path("runs")
Draw = Callable[[Event], None]


def main() -> None:
    """Run the command line."""
    app()


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mriseg {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say it and exit.")
    ] = False,
) -> None:
    """Train a SegNet on brain MRI, carry it over to the next task, and export it."""


@app.command()
def preprocess(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The folder of scans.")],
    out: Annotated[
        str,
        typer.Argument(metavar="OUT.zarr", help="The store to make or add to: a path or a URL."),
    ],
    layout: options.Layout = "auto",
    regions: Annotated[
        str | None,
        typer.Option(
            help="What to mark: names that the layout knows, or name=label+label "
            "(default: the whole tumour).",
            metavar="WT,TC,ET",
        ),
    ] = None,
    channels: options.Channels = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes (default: one a core, 8 at most).", min=1)
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first bad case.")] = False,
) -> None:
    """Read a folder of scans into a store that training reads fast.

    Started again, it goes on with the cases that are left.
    """
    from mriseg import api
    from mriseg.recipes.preprocess import check_complete

    with render.drawing() as draw:
        report = api.preprocess(
            source,
            out,
            layout=layout,
            regions=regions,
            channels=channels,
            workers=workers,
            strict=strict,
            on_event=draw,
        )
    tables.preprocessed(render.results(), report)
    check_complete(report)


@app.command()
def train(
    context: typer.Context,
    store: options.StoreArgument = None,
    backend: options.BackendName = "auto",
    precision: options.Precision = "auto",
    deterministic: options.Deterministic = False,
    compiling: options.Compile = "auto",
    modalities: options.Modalities = None,
    regions: options.TrainRegions = None,
    epochs: options.Epochs = None,
    budget: options.Budget = None,
    batch_size: options.BatchSize = None,
    seed: options.Seed = None,
    width: options.Width = None,
    loss: options.LossName = None,
    pos_weight: options.PosWeight = None,
    learning_rate: options.LearningRate = None,
    encoder_weights: options.EncoderWeights = None,
    size: options.Size = None,
    validation: options.Validation = None,
    validation_cases: options.ValidationCases = None,
    exclude: options.Exclude = None,
    validate_every: options.ValidateEvery = None,
    patience: options.Patience = None,
    config: options.ConfigFile = None,
    out: options.RunFolder = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with a run that was stopped: the one named in STORE's place or by --run, "
            "or the newest.",
        ),
    ] = False,
    run: Annotated[
        Path | None,
        typer.Option(help="The run to go on with; STORE then says where its store is now."),
    ] = None,
) -> None:
    """Train a SegNet on a store."""
    from mriseg import api

    if run is not None and not resume:
        raise ConfigError("--run names the run to go on with: give --resume too")
    with render.drawing() as draw:
        if resume:
            _refuse_settings(context, config, out)
            if run is None and store is not None and _is_run(store):
                run, store = Path(store), None
            found = run or _unfinished_run(draw)
            chosen = _backend(draw, backend, precision, deterministic, compiling)
            report = api.resume(found, store=store, backend=chosen, on_event=draw)
        else:
            settings = _settings(context, config)
            chosen = _backend(draw, backend, precision, deterministic, compiling)
            report = api.train(
                _store(draw, store), settings, backend=chosen, out=out, on_event=draw
            )
    tables.trained(render.results(), report)


@app.command()
def transfer(
    context: typer.Context,
    store: options.StoreArgument = None,
    source: options.Source = None,
    transfer_part: options.TransferPart = None,
    freeze: options.Freeze = None,
    schedule: options.Schedule = None,
    layer_decay: options.LayerDecay = None,
    l2_sp: options.L2SP = None,
    adapt_norm: options.AdaptNorm = None,
    new_head: Annotated[
        bool,
        typer.Option("--new-head", help="Make the head anew even for regions of the same name."),
    ] = False,
    compare: options.Compare = False,
    methods: options.Methods = None,
    sizes: options.Sizes = None,
    folds: options.Folds = None,
    rounds: options.Rounds = None,
    seeds: options.Seeds = None,
    backend: options.BackendName = "auto",
    precision: options.Precision = "auto",
    deterministic: options.Deterministic = False,
    compiling: options.Compile = "auto",
    modalities: options.Modalities = None,
    regions: options.TrainRegions = None,
    epochs: options.Epochs = None,
    budget: options.Budget = None,
    batch_size: options.BatchSize = None,
    seed: options.Seed = None,
    loss: options.LossName = None,
    pos_weight: options.PosWeight = None,
    learning_rate: options.LearningRate = None,
    size: options.Size = None,
    validation: options.Validation = None,
    validation_cases: options.ValidationCases = None,
    exclude: options.Exclude = None,
    validate_every: options.ValidateEvery = None,
    patience: options.Patience = None,
    config: options.ConfigFile = None,
    out: options.RunFolder = None,
) -> None:
    """Re-train a run's network for another task, modalities or regions.

    Its width is the run's. Where it is stopped, mriseg train --resume goes on.
    """
    from mriseg import api

    of_it = ("methods", "sizes", "folds", "rounds", "seeds")
    asked = {n: v for n in of_it if (v := context.params[n]) is not None}
    _check_compares(context, compare, asked)
    with render.drawing() as draw:
        settings = _settings(context, config)
        found = _run(draw, source)
        chosen = _backend(draw, backend, precision, deterministic, compiling)
        if compare:
            compared = api.compare(
                _store(draw, store),
                found,
                settings,
                new_head=new_head,
                backend=chosen,
                out=out,
                on_event=draw,
                **asked,
            )
            tables.compared(render.results(), compared)
            return
        report = api.transfer(
            _store(draw, store),
            found,
            settings,
            new_head=new_head,
            backend=chosen,
            out=out,
            on_event=draw,
        )
    console = render.results()
    tables.trained(console, report)
    count = ", ".join(
        f"{report.plan.count(action)} {action}" for action in ("kept", "adapted", "new")
    )
    render.say(console, f"from {found}: tensors {count}; see {report.run / 'transfer.json'}")


@app.command()
def predict(
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="A case's folder, a folder of cases, a NIfTI file, or a store."
        ),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="A folder; or, for one case, a .nii.gz file.")
    ],
    model: options.Model = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write these too, a file a region.")
    ] = False,
    flips: options.Flips = True,
    adapt: options.Adapt = True,
    refine: options.Refine = True,
    min_volume: options.MinVolume = 0.0,
    min_component_share: options.MinComponentShare = None,
    threshold: options.Threshold = None,
    modalities: options.OnlyModalities = None,
    overlays: Annotated[
        bool, typer.Option("--overlays/--no-overlays", help="A picture beside each mask.")
    ] = True,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing",
            help="Predict cases that lack a modality although training saw none.",
        ),
    ] = False,
    cases: options.Cases = None,
    layout: options.Layout = "auto",
    channels: options.Channels = None,
    backend: options.BackendName = "auto",
    precision: options.Precision = "auto",
    deterministic: options.Deterministic = False,
) -> None:
    """Write a mask for each scan, on the scan's own grid."""
    from mriseg import api

    with render.drawing() as draw:
        report = api.predict(
            source,
            out,
            _run(draw, model),
            _predict_options(
                threshold=threshold,
                flips=flips,
                adapt=adapt,
                refine=refine,
                min_volume=min_volume,
                min_component_share=min_component_share,
                probabilities=probabilities,
                overlays=overlays,
                allow_missing=allow_missing,
                modalities=modalities,
            ),
            layout=layout,
            channels=channels,
            cases=cases,
            backend=_backend(draw, backend, precision, deterministic),
            on_event=draw,
        )
    tables.predicted(render.results(), report)
    _check_complete(report.skipped, len(report.results))


@app.command()
def evaluate(
    store: options.StoreArgument = None,
    model: options.Model = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Measure these masks instead of a model.", metavar="DIR"),
    ] = None,
    truths: Annotated[
        Path | None, typer.Option(help="What to measure --masks against.", metavar="DIR")
    ] = None,
    regions: Annotated[
        str | None,
        typer.Option(
            help="Of --masks: name=label+label (default: all that is not 0).",
            metavar="WT=1+2+4",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A folder for cases.csv, summary.csv, evaluation.json and pictures.", metavar="DIR"
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="The table of cases alone.", metavar="FILE")
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="All of it in one file.", metavar="FILE")
    ] = None,
    pictures: Annotated[
        bool, typer.Option("--pictures/--no-pictures", help="Draw them into --out.")
    ] = True,
    include_seen: Annotated[
        bool,
        typer.Option(
            "--include-seen", help="Measure the cases that the model was trained on as well."
        ),
    ] = False,
    flips: options.Flips = True,
    adapt: options.Adapt = True,
    refine: options.Refine = True,
    min_volume: options.MinVolume = 0.0,
    min_component_share: options.MinComponentShare = None,
    threshold: options.Threshold = None,
    modalities: options.OnlyModalities = None,
    cases: options.Cases = None,
    backend: options.BackendName = "auto",
    precision: options.Precision = "auto",
    deterministic: options.Deterministic = False,
) -> None:
    """Measure masks patient by patient: a model's on a store, or files against files."""
    from mriseg import api
    from mriseg.io.disk.documents import write_csv, write_json
    from mriseg.io.disk.space import check_writable

    for file in filter(None, (csv, json)):
        check_writable(file.parent)
    with render.drawing() as draw:
        if masks is not None or truths is not None:
            if masks is None or truths is None:
                raise ConfigError("--masks and --truths go together: give both")
            if store is not None or model is not None or cases is not None:
                raise ConfigError("--masks measures files: leave STORE, --model and --cases out")
            report = api.evaluate_masks(
                masks, truths, regions=regions, out=out, pictures=pictures, on_event=draw
            )
        else:
            if regions is not None:
                raise ConfigError("--regions is for --masks: a model marks the regions it learnt")
            report = api.evaluate(
                _store(draw, store),
                _run(draw, model),
                _predict_options(
                    threshold=threshold,
                    flips=flips,
                    adapt=adapt,
                    refine=refine,
                    min_volume=min_volume,
                    min_component_share=min_component_share,
                    modalities=modalities,
                ),
                include_seen=include_seen,
                cases=cases,
                out=out,
                pictures=pictures,
                backend=_backend(draw, backend, precision, deterministic),
                on_event=draw,
            )
    data = report.to_json()
    if csv is not None:
        write_csv(csv, data["cases"])
    if json is not None:
        write_json(json, data)
    tables.evaluated(render.results(), report)
    _check_complete(report.skipped, len({score.case for score in report.scores}))


@app.command()
def export(
    format: Annotated[str, typer.Argument(metavar="FORMAT", help="torchscript.")],
    model: options.Model = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file; without, one in the run's folder, or here for a shipped model.",
            metavar="FILE",
        ),
    ] = None,
) -> None:
    """Write a model as a file that other programs load, checked against the model."""
    from mriseg import api
    from mriseg.io.exporters import EXPORTERS

    EXPORTERS[format]  # a format that is not there is said before a run is looked for
    with render.drawing() as draw:
        report = api.export(_run(draw, model), format, out, on_event=draw)
    render.say(
        render.results(),
        f"{report.path} ({report.format}): differs from the model by "
        f"{report.largest_difference:.2g} at most",
    )


@app.command()
def share(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")],
    model: options.Model = None,
    evaluation: Annotated[
        list[str] | None,
        typer.Option(
            help="An evaluation.json for the model card, and in words what it measured, such as "
            "FLAIR=FILE; may be given again.",
            metavar="[TEXT=]FILE",
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="What it was trained on, for the card.", metavar="TEXT")
    ] = None,
    terms: Annotated[
        str | None, typer.Option(help="How it may be used, for the card.", metavar="TEXT")
    ] = None,
    keep_names: Annotated[
        bool, typer.Option("--keep-names", help="Leave the names of cases and patients in.")
    ] = False,
) -> None:
    """Make a slim folder of a model to hand to others: weights, a model card, and no names.

    It goes wherever a run does: --model OUT, --from OUT.
    """
    from mriseg import api

    with render.drawing() as draw:
        report = api.share(
            _run(draw, model),
            out,
            evaluations=options.labelled(evaluation or []),
            data=data,
            terms=terms,
            keep_names=keep_names,
            on_event=draw,
        )
    render.say(render.results(), f"{report.path}: {report.size_bytes / 1e6:.1f} MB")


@app.command()
def info(
    path: Annotated[
        str | None,
        typer.Argument(metavar="STORE|RUN", help="What to look into; base is the shipped model."),
    ] = None,
    backend: options.BackendName = "auto",
    precision: options.Precision = "auto",
    deterministic: options.Deterministic = False,
    compiling: options.Compile = "auto",
) -> None:
    """Say what this machine has, which backend would be chosen and why; or what a path holds."""
    from mriseg.backends import select
    from mriseg.recipes.info import RunInfo, holds, machine

    console = render.results()
    if path is None:
        chosen = select(
            backend, precision=precision, deterministic=deterministic, compile=compiling
        )
        gauges.machine(console, machine(chosen))
        return
    found = holds(path)
    if isinstance(found, RunInfo):
        tables.run(console, found)
    else:
        tables.store(console, found)


@app.command()
def verify(
    path: Annotated[
        str,
        typer.Argument(metavar="STORE|RUN|FILE", help="A store, a run or an exported file."),
    ],
    sources: Annotated[
        list[Path] | None,
        typer.Option(
            help="Of a store: the folder of scans that it was made from, where it is now; may be "
            "given again.",
            metavar="SRC",
        ),
    ] = None,
    layout: options.Layout = "auto",
    channels: options.Channels = None,
    json: options.Json = None,
) -> None:
    """Check that what is stored is what was written, and that its sources have not changed.

    Nothing is changed. The exit code is 9 where something is wrong.
    """
    from mriseg import api
    from mriseg.recipes.verify import check_whole

    with render.drawing() as draw:
        report = api.verify(
            path, sources=sources or (), layout=layout, channels=channels, on_event=draw
        )
    if not render.as_json(json, report.to_json()):
        tables.verified(render.results(), report)
    check_whole(report)


@app.command()
def doctor(
    store: Annotated[
        str | None,
        typer.Argument(metavar="STORE", help="Whose epoch to time (default: BraTS2020's scale)."),
    ] = None,
    backend: options.BackendName = "auto",
    precision: options.Precision = "auto",
    deterministic: options.Deterministic = False,
    width: Annotated[int, typer.Option(help="Of the network.", metavar="N")] = 64,
    batch_size: Annotated[int, typer.Option(help="Slices in a step.", metavar="N")] = 10,
    size: Annotated[
        str | None,
        typer.Option(
            help="Height and width of a slice (default: the store's, or 240x240).", metavar="HxW"
        ),
    ] = None,
    json: options.Json = None,
) -> None:
    """Check that this machine computes right, and say what a training would take.

    Each operation of a training is compared with the CPU in float64. The exit code is 4 where a
    training would go wrong.
    """
    from mriseg import api
    from mriseg.recipes.doctor import check_fit

    with render.drawing() as draw:
        report = api.doctor(
            store,
            width=width,
            batch_size=batch_size,
            size=size,
            backend=_backend(draw, backend, precision, deterministic),
            on_event=draw,
        )
    if not render.as_json(json, report.to_json()):
        gauges.doctored(render.results(), report)
    check_fit(report)


@app.command()
def bench(
    store: Annotated[
        str | None,
        typer.Argument(metavar="STORE", help="The store to read (default: one of the sample)."),
    ] = None,
    backend: options.BackendName = "auto",
    precision: options.Precision = "auto",
    compiling: options.Compile = "auto",
    width: Annotated[int, typer.Option(help="Of the network.", metavar="N")] = 64,
    batch_size: Annotated[int, typer.Option(help="Slices in a step.", metavar="N")] = 10,
    size: Annotated[
        str, typer.Option(help="Height and width of a slice.", metavar="HxW")
    ] = "240x240",
    quick: Annotated[
        bool, typer.Option("--quick", help="Rougher numbers, in a part of the time.")
    ] = False,
    json: options.Json = None,
) -> None:
    """Measure how fast this machine trains, predicts, reads and preprocesses."""
    from mriseg import api

    with render.drawing() as draw:
        report = api.bench(
            store,
            width=width,
            batch_size=batch_size,
            size=size,
            quick=quick,
            backend=_backend(draw, backend, precision, compiling=compiling),
            on_event=draw,
        )
    if not render.as_json(json, report.to_json()):
        gauges.measured(render.results(), report)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="The folder for all of it.", metavar="DIR")] = Path(
        "demo"
    ),
    minutes: Annotated[float, typer.Option(help="For training.", metavar="N")] = 2.5,
    backend: options.BackendName = "auto",
    precision: options.Precision = "auto",
) -> None:
    """Run the whole chain on three patients that come with mriseg."""
    from mriseg import api

    with render.drawing() as draw:
        chosen = _backend(draw, backend, precision)
        report = api.demo(out, minutes=minutes, backend=chosen, on_event=draw)
    tables.shown(render.results(), report)


def _backend(
    draw: Draw,
    name: str,
    precision: str,
    deterministic: bool = False,
    compiling: str = "auto",
) -> Backend:
    from mriseg.backends import describe, select

    found = select(name, precision=precision, deterministic=deterministic, compile=compiling)
    told = describe(found)
    draw(
        Notice(f"backend {found.name} ({told['device name']}), {told['precision']}: {found.reason}")
    )
    return found


def _store(draw: Draw, given: str | None) -> str:
    """The store that was named, or the only one here."""
    from mriseg.io.finding import only_store

    if given is not None:
        return given
    found = only_store(Path())
    draw(Notice(f"store {found}, the only one in this folder"))
    return str(found)


def _is_run(given: str) -> bool:
    from mriseg.io.finding import Kind, what_is
    from mriseg.io.location import Location

    # A path, and not the name of a shipped model, which no training goes on with.
    return what_is(Location.of(given)) is Kind.RUN


def _run(draw: Draw, given: str | None) -> str | Path:
    """The run or model that was named, or the newest run here."""
    from mriseg.io.runs import newest_run

    if given is not None:
        return given
    found = newest_run(RUNS)
    draw(Notice(f"run {found}, the newest under {RUNS}/"))
    return found


def _unfinished_run(draw: Draw) -> Path:
    from mriseg.io.runs import newest_unfinished_run

    found = newest_unfinished_run(RUNS)
    draw(Notice(f"run {found}, the newest under {RUNS}/ that was stopped"))
    return found


def _settings(context: typer.Context, file: Path | None) -> TrainConfig:
    """The settings of a training, those of the command line over those of the file."""
    from mriseg.core.train_settings import training_config

    return training_config(options.read_settings(file), options.given_settings(context.params))


def _refuse_settings(context: typer.Context, config: Path | None, out: Path | None) -> None:
    given = [options.option_name(name) for name in options.given_settings(context.params)]
    given += ["--config"] * (config is not None) + ["--out"] * (out is not None)
    if given:
        raise ConfigError(
            f"a run goes on with the settings that it was started with: leave out "
            f"{', '.join(given)}, or train a new one"
        )


# A comparison measures on patients that choose nothing, so none may choose an epoch.
_CHOOSING = ("validation", "validation_cases", "validate_every", "patience")


def _check_compares(context: typer.Context, compare: bool, asked: Mapping[str, Any]) -> None:
    if asked and not compare:
        named = ", ".join(map(options.option_name, asked))
        raise ConfigError(f"{named}: of a comparison; give --compare too")
    chosen = [options.option_name(n) for n in _CHOOSING if context.params.get(n) is not None]
    if compare and chosen:
        raise ConfigError(
            f"a comparison has no patients that validate: leave {', '.join(chosen)} out"
        )


def _predict_options(modalities: str | None, **given: float | bool | None) -> PredictOptions:
    from mriseg.core.train_settings import modality_names
    from mriseg.recipes.predict import PredictOptions

    return PredictOptions(modalities=modality_names(modalities), **given)  # type: ignore[arg-type]


def _check_complete(skipped: Sequence[tuple[str, str]], done: int) -> None:
    if skipped:
        raise IncompleteError(
            f"{len(skipped)} of {len(skipped) + done} cases were skipped: "
            f"{', '.join(f'{case} ({reason})' for case, reason in skipped)}"
        )
