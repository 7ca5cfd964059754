"""Make a model: preprocess, train, transfer, forecast."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from mriseg.cli import options, render, together
from mriseg.cli.bundles import Bundle, bundled
from mriseg.cli.commands import common
from mriseg.cli.preparing import preparing
from mriseg.cli.reports import results
from mriseg.cli.reports import scans as scans_report
from mriseg.cli.settings import given_settings, option_name, read_settings, setting_options
from mriseg.core.config import TrainConfig, TransferConfig
from mriseg.core.train_settings import names, training_config
from mriseg.errors import ConfigError

SCRATCH = "scratch"


def inspect(
    source: options.Scans,
    csv: Annotated[
        Path | None,
        options.option(
            "--csv", "Write the plan as a table of cases, to edit and to preprocess.", "FILE"
        ),
    ] = None,
    layout: options.Layout = "auto",
    regions: options.Regions = None,
    channels: options.Channels = None,
    labels: options.LabelFolder = None,
    workers: options.Workers = None,
    executor: options.Executor = None,
    json: options.Json = None,
) -> None:
    """Show what would be read from a folder of scans, and which files would not be, and why.

    The exit code is 6 if a case would be skipped.

    Example: mriseg inspect brats/ --csv cases.csv
    """
    from mriseg import api

    with render.drawing() as draw:
        report = api.inspect(
            source,
            layout=layout,
            regions=regions,
            channels=channels,
            labels=labels,
            workers=workers,
            executor=executor,
            csv=csv,
            on_event=draw,
        )
    if not render.as_json(json, report.to_json()):
        scans_report.inspected(render.results(), report)
    skipped = [(case.case, case.problem) for case in report.refused]
    common.check_complete(skipped, len(report.cases) - len(skipped))


@bundled(preparation=preparing("the finest pixels", "off", "none"))
def preprocess(
    *,
    source: options.Scans,
    out: Annotated[
        str,
        typer.Argument(metavar="OUT.zarr", help="Store to create or extend, a folder or a URL."),
    ],
    layout: options.Layout = "auto",
    regions: options.Regions = None,
    channels: options.Channels = None,
    labels: options.LabelFolder = None,
    workers: options.Workers = None,
    executor: options.Executor = None,
    strict: Annotated[
        bool,
        options.option("--strict", "Stop at the first case that cannot be used. (default: skip)"),
    ] = False,
    overwrite: Annotated[
        bool,
        options.option(
            "--overwrite",
            "Replace cases of the store by cases of the same name from other scans. (default: "
            "refuse)",
        ),
    ] = False,
    preparation: Bundle,
) -> None:
    """Read a folder of scans into a store, from which training reads quickly.

    If it is stopped, the same command continues with the remaining cases.

    Example: mriseg preprocess brats/ out.zarr
    """
    from mriseg import api

    with render.drawing() as draw:
        report = api.preprocess(
            source,
            out,
            layout=layout,
            regions=regions,
            channels=channels,
            labels=labels,
            workers=workers,
            executor=executor,
            strict=strict,
            overwrite=overwrite,
            reference=preparation["reference"],
            align=bool(preparation["align"]),
            strip=preparation["strip"],
            on_event=draw,
        )
    results.preprocessed(render.results(), report)
    skipped = [(case.case, case.reason) for case in report.skipped]
    common.check_complete(skipped, len(report.cases) - len(skipped), report.file)


@bundled(settings=setting_options(TrainConfig), computing=options.COMPUTING)
def train(
    *,
    store: options.StoreArgument = None,
    config: options.ConfigFile = None,
    out: options.RunFolder = None,
    resume: Annotated[
        bool,
        options.option(
            "--resume",
            "Continue a stopped run: the one given in place of STORE or by --run, or the newest. "
            "With --out: the one there, or begin it, so that the same command is right each time.",
        ),
    ] = False,
    run: Annotated[
        Path | None,
        options.option("--run", "Run to continue; STORE then says where its store is now.", "RUN"),
    ] = None,
    tracker: common.Trackers = None,
    settings: Bundle,
    computing: Bundle,
) -> None:
    """Train a SegNet on a store.

    Example: mriseg train out.zarr --width 16 --budget 30m
    """
    from mriseg import api
    from mriseg.io.finding import Kind, what_is
    from mriseg.io.location import Location

    given, trackers = given_settings(settings), tracker or ()
    if run is not None and not resume:
        raise ConfigError("--run names the run to continue: add --resume")
    if run is not None and out is not None:
        raise ConfigError("--run and --out both name the run to continue; give one of them")
    with render.drawing() as draw:
        if resume and out is None:
            _refuse_settings(given, config)
            if run is None and store is not None and what_is(Location.of(store)) is Kind.RUN:
                run, store = Path(store), None
            stopped = run or common.newest_stopped(draw)
            chosen = common.select_backend(draw, **computing)
            with common.naming_the_run(stopped):
                report = api.resume(
                    stopped, store=store, backend=chosen, trackers=trackers, on_event=draw
                )
        else:
            layers = training_config(read_settings(config), given)
            chosen = common.select_backend(draw, **computing)
            where = common.store_or_only(draw, store)
            with common.naming_the_run(out):
                report = api.train(
                    where,
                    layers,
                    backend=chosen,
                    out=out,
                    resume=resume,
                    trackers=trackers,
                    on_event=draw,
                )
    results.trained(render.results(), report)


@bundled(
    settings=setting_options(TransferConfig, TrainConfig, leave_out=("width", "encoder_weights")),
    comparison=options.COMPARING,
    computing=options.COMPUTING,
    work=options.WORKING,
)
def transfer(
    *,
    store: options.StoreArgument = None,
    source: options.Source = None,
    new_head: Annotated[
        bool,
        options.option(
            "--new-head", "Re-initialise the output layer even if the region names match."
        ),
    ] = False,
    config: options.ConfigFile = None,
    out: options.RunFolder = None,
    tracker: common.Trackers = None,
    settings: Bundle,
    compare: options.Compare = False,
    comparison: Bundle,
    computing: Bundle,
    work: Bundle,
) -> None:
    """Transfer a trained network to another task, other modalities or other regions.

    The width is that of the source run. If it is stopped, mriseg train --resume continues.

    Example: mriseg transfer hippocampus.zarr --from base --budget 30m
    """
    from mriseg import api

    given = given_settings(settings)
    asked = {k: value for k, value in {**comparison, **work}.items() if value is not None}
    _check_compares(settings, compare, asked)
    if compare:
        if tracker:
            raise ConfigError("--tracker is for one training: leave it out, or --compare")
        together.refuse("--compare")
    with render.drawing() as draw:
        layers = training_config(read_settings(config), given)
        run = common.run_or_newest(draw, source, "--from")
        shared: dict[str, Any] = {
            "new_head": new_head,
            "backend": common.computing_for(draw, work, computing),
            "out": out,
            "on_event": draw,
        }
        where = common.store_or_only(draw, store)
        if compare:
            with common.naming_the_comparison(out):
                compared = api.compare(where, run, layers, **shared, **asked)
            results.compared(render.results(), compared)
            return
        with common.naming_the_run(out):
            report = api.transfer(where, run, layers, trackers=tracker or (), **shared)
    console = render.results()
    results.trained(console, report)
    count = report.plan.count
    render.say(
        console,
        f"from {run}: {count('kept')} tensors kept, {count('adapted')} adapted, "
        f"{count('new')} new; see {report.run / 'transfer.json'}",
    )


Start = Annotated[
    str,
    options.option(
        "--from",
        "Where each training starts: scratch, or a run (or base) that it transfers from. (default: "
        "scratch)",
        "RUN|scratch",
    ),
]
_More = Annotated[
    int,
    options.option(
        "--more", "Forecast what N more cases would be worth. (default: 10)", "N", min=1
    ),
]


@bundled(
    settings=setting_options(TrainConfig),
    sampling=options.without(options.COMPARING, "methods"),
    computing=options.COMPUTING,
    work=options.WORKING,
)
def forecast(
    *,
    store: options.StoreArgument = None,
    start: Start = SCRATCH,
    more: _More = 10,
    config: options.ConfigFile = None,
    out: options.RunFolder = None,
    settings: Bundle,
    sampling: Bundle,
    computing: Bundle,
    work: Bundle,
) -> None:
    """Forecast what more cases would be worth: Dice against the number of training patients.

    It takes sizes x folds x seeds trainings, each of --budget (10m unless given) or --epochs. If
    it is stopped, the same command with --out continues.

    Example: mriseg forecast lgg.zarr --budget 10m --out forecast
    """
    from mriseg import api

    given = given_settings(settings)
    check_validates_nobody(settings, "a forecast")
    asked = {name: value for name, value in sampling.items() if value is not None}
    if "sizes" in asked:
        asked["sizes"] = names(asked["sizes"])
    with render.drawing() as draw:
        layers = training_config(read_settings(config), given)
        with common.naming_the_comparison(out):
            report = api.forecast(
                common.store_or_only(draw, store),
                layers,
                source=None if start == SCRATCH else common.pinned(draw, start),
                options=api.ForecastOptions(more=more, **asked),
                backend=common.computing_for(draw, work, computing),
                **work,
                out=out,
                on_event=draw,
            )
    results.forecasted(render.results(), report)


def _refuse_settings(settings: Mapping[str, Any], config: Path | None) -> None:
    policy = settings.get("transfer", {})
    given = [option_name(name) for name in (*settings, *policy) if name != "transfer"]
    given += ["--config"] * (config is not None)
    if given:
        raise ConfigError(
            f"a run continues with the settings it was started with: leave out "
            f"{', '.join(given)}, or train a new one (with --out RUN it may be given the same ones)"
        )


# A comparison measures on patients that choose nothing, so none may choose an epoch.
_CHOOSING = ("validation", "validation_cases", "validate_every", "patience")


def _check_compares(settings: Bundle, compare: bool, asked: Mapping[str, Any]) -> None:
    if asked and not compare:
        named = ", ".join(map(option_name, asked))
        raise ConfigError(f"{named}: only for comparisons; add --compare")
    if compare:
        check_validates_nobody(settings, "a comparison")


def check_validates_nobody(settings: Bundle, what: str) -> None:
    """Refuse settings of validation where no patient may choose anything."""
    choosing = [option_name(name) for name in _CHOOSING if settings[name] is not None]
    if choosing:
        raise ConfigError(f"{what} has no validation patients: leave out {', '.join(choosing)}")
