"""Check data, models and the machine: verify, doctor, bench, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mriseg.cli import options, render
from mriseg.cli.bundles import Bundle, bundled
from mriseg.cli.commands import common
from mriseg.cli.reports import machine as machine_report
from mriseg.cli.reports import results


def verify(
    path: Annotated[
        str,
        typer.Argument(metavar="STORE|RUN|FILE", help="A store, a run or an exported file."),
    ],
    sources: Annotated[
        list[Path] | None,
        options.option(
            "--sources",
            "For a store: also check the folder of scans it was made from, where it is now. May be "
            "repeated.",
            "SRC",
        ),
    ] = None,
    layout: options.Layout = "auto",
    channels: options.Channels = None,
    json: options.Json = None,
) -> None:
    """Check that stored files are as they were written and that their sources are unchanged.

    Nothing is changed. The exit code is 9 if anything is wrong.

    Example: mriseg verify out.zarr --sources brats/
    """
    from mriseg import api
    from mriseg.recipes.verify import check_whole

    common.check_json(json)
    with render.drawing() as draw:
        report = api.verify(
            path, sources=sources or (), layout=layout, channels=channels, on_event=draw
        )
    if not render.as_json(json, report.to_json()):
        results.verified(render.results(), report)
    check_whole(report)


@bundled(computing=options.without(options.COMPUTING, "compiling"))
def doctor(
    *,
    store: Annotated[
        str | None,
        typer.Argument(
            metavar="STORE",
            help="Store to estimate the epoch time for. (default: one the size of BraTS2020)",
        ),
    ] = None,
    width: options.Width = 64,
    batch_size: options.BatchSize = 10,
    size: Annotated[
        str | None,
        options.option(
            "--size",
            "Height and width of a slice. (default: the store's, or 240x240)",
            "HxW",
        ),
    ] = None,
    json: options.Json = None,
    computing: Bundle,
) -> None:
    """Check that this machine computes correctly, and estimate the time of a training.

    Each operation is compared with the CPU in float64. The exit code is 4 if a training would go
    wrong.

    Example: mriseg doctor out.zarr
    """
    from mriseg import api
    from mriseg.recipes.doctor import check_fit

    common.check_json(json)
    with render.drawing() as draw:
        report = api.doctor(
            store,
            width=width,
            batch_size=batch_size,
            size=size,
            backend=common.select_backend(draw, **computing),
            on_event=draw,
        )
    if not render.as_json(json, report.to_json()):
        machine_report.doctored(render.results(), report)
    check_fit(report)


@bundled(computing=options.without(options.COMPUTING, "deterministic"))
def bench(
    *,
    store: Annotated[
        str | None,
        typer.Argument(
            metavar="STORE", help="Store to read from. (default: one made of the sample)"
        ),
    ] = None,
    width: options.Width = 64,
    batch_size: options.BatchSize = 10,
    size: Annotated[
        str,
        options.option("--size", "Height and width of a slice. (default: 240x240)", "HxW"),
    ] = "240x240",
    quick: Annotated[
        bool, options.option("--quick", "Measure less precisely in a fraction of the time.")
    ] = False,
    json: options.Json = None,
    computing: Bundle,
) -> None:
    """Measure how fast this machine trains, predicts, reads and preprocesses.

    Example: mriseg bench --quick
    """
    from mriseg import api

    common.check_json(json)
    with render.drawing() as draw:
        report = api.bench(
            store,
            width=width,
            batch_size=batch_size,
            size=size,
            quick=quick,
            backend=common.select_backend(draw, **computing),
            on_event=draw,
        )
    if not render.as_json(json, report.to_json()):
        machine_report.measured(render.results(), report)


@bundled(computing=options.without(options.COMPUTING, "deterministic", "compiling"))
def demo(
    *,
    out: Annotated[
        Path, options.option("--out", "Folder for all files of the demo. (default: demo)", "DIR")
    ] = Path("demo"),
    minutes: Annotated[
        float, options.option("--minutes", "Minutes of training. (default: 2.5)", "N")
    ] = 2.5,
    computing: Bundle,
) -> None:
    """Run every step, from scans to an exported model, on three patients included with mriseg.

    Example: mriseg demo --minutes 1
    """
    from mriseg import api

    with render.drawing() as draw:
        backend = common.select_backend(draw, **computing)
        report = api.demo(out, minutes=minutes, backend=backend, on_event=draw)
    results.shown(render.results(), report)
