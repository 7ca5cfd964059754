"""Correct a model's masks, and learn on from that: annotate, improve."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mriseg.cli import options, render
from mriseg.cli.bundles import Bundle, bundled
from mriseg.cli.commands import common
from mriseg.cli.reports import results
from mriseg.cli.settings import given_settings, read_settings, setting_options
from mriseg.core.config import TrainConfig
from mriseg.core.train_settings import training_config

if TYPE_CHECKING:
    from mriseg.annotation.annotate import AnnotateReport

_Scans = Annotated[
    str,
    typer.Argument(metavar="SCANS", help="Folder of scans, table of cases (CSV), or store."),
]
_Out = Annotated[
    Path | None,
    options.option(
        "--out",
        "Folder for the corrections, new or to continue. (default: beside SCANS, with "
        "-annotation after its name)",
        "DIR",
    ),
]
_Labels = Annotated[
    Path | None,
    options.option(
        "--labels",
        "Folder of segmentations made elsewhere, named as the cases are; they count too.",
        "DIR",
    ),
]
_Who = Annotated[
    str | None,
    options.option(
        "--who",
        "Name of the person who corrects, for the record. (default: the computer's user)",
        "NAME",
    ),
]
_Port = Annotated[
    int | None,
    options.option(
        "--port",
        "Port of the page, on this machine alone. (default: a free one)",
        "N",
        min=1,
        max=65535,
    ),
]
_Browser = Annotated[
    bool,
    options.option(
        "--browser/--no-browser", "Open the page in the browser, where there is one. (default: on)"
    ),
]


@bundled(computing=options.without(options.COMPUTING, "compiling"))
def annotate(
    *,
    source: _Scans,
    model: options.Model = None,
    out: _Out = None,
    labels: _Labels = None,
    who: _Who = None,
    layout: options.Layout = "auto",
    channels: options.Channels = None,
    port: _Port = None,
    browser: _Browser = True,
    computing: Bundle,
) -> None:
    """Look at a model's masks and correct them, on a page in the browser; most worth it first.

    Ctrl-C ends the session, and the same command continues it.

    Example: mriseg annotate scans/ --model base
    """
    from mriseg import api

    with render.drawing() as draw:
        report = api.annotate(
            source,
            common.run_or_newest(draw, model),
            out,
            who=who,
            port=port,
            backend=common.select_backend(draw, **computing),
            on_event=draw,
            on_ready=_open if browser else lambda _: None,
            layout=layout,
            channels=channels,
            labels=labels,
        )
    _say(report)


_Run = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        help="Model to learn on from: a run, or base. (default: the one in use, or else the one "
        "that was corrected)",
    ),
]
_Corrections = Annotated[
    Path,
    options.option("--corrections", "Folder of a session of mriseg annotate.", "DIR"),
]
_RoundOut = Annotated[
    Path | None,
    options.option("--out", "Folder for the round. (default: the next one under runs/)", "DIR"),
]
# Who learns and who tests is not chosen by hand, and the network is the model's.
_CHOSEN = (
    *("width", "encoder_weights", "modalities", "regions", "exclude"),
    *("validation", "validation_cases", "validate_every", "patience", "calibration"),
)


@bundled(
    settings=setting_options(TrainConfig, leave_out=_CHOSEN),
    computing=options.COMPUTING,
)
def improve(
    *,
    run: _Run = None,
    corrections: _Corrections,
    config: options.ConfigFile = None,
    out: _RoundOut = None,
    layout: options.Layout = "auto",
    channels: options.Channels = None,
    workers: options.Workers = None,
    settings: Bundle,
    computing: Bundle,
) -> None:
    """Learn on from corrections, and use the new model only if it is shown to be better.

    Some corrected patients are kept aside for good, to measure both models on. The training takes
    --budget (10m unless given). If it is stopped, the same command goes on.

    Example: mriseg improve base --corrections scans-annotation --budget 20m
    """
    from mriseg import api

    layers = training_config(read_settings(config), given_settings(settings))
    with render.drawing() as draw:
        report = api.improve(
            run and common.pinned(draw, run),
            corrections,
            layers,
            scans={"layout": layout, "channels": channels, "workers": workers},
            backend=common.select_backend(draw, **computing),
            out=out,
            on_event=draw,
        )
    results.improved(render.results(), report)


def _open(address: str) -> None:
    """Show the page where there is a desktop; elsewhere its address was said."""
    import webbrowser
    from contextlib import suppress

    with suppress(webbrowser.Error):
        browser = webbrowser.get()
        # A browser of the terminal would take it over.
        if not isinstance(browser, webbrowser.GenericBrowser) or isinstance(
            browser, webbrowser.BackgroundBrowser
        ):
            browser.open(address)


def _say(report: AnnotateReport) -> None:
    count = f"{report.corrected} corrected, {report.accepted} accepted, {report.skipped} skipped"
    render.say(
        render.results(),
        f"{report.out}: {count}, {report.open} open; the same command continues the session",
    )
