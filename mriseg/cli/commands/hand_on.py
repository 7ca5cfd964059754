"""Hand a model on: export, share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mriseg.cli import options, render
from mriseg.cli.commands import common


def export(
    format: Annotated[
        str, typer.Argument(metavar="FORMAT", help="Format: torchscript, onnx, pt2, coreml, monai.")
    ],
    model: options.Model = None,
    out: Annotated[
        Path | None,
        options.option(
            "--out",
            "File to write. (default: one in the run's folder; in this folder for a shipped model)",
            "FILE",
        ),
    ] = None,
) -> None:
    """Export a model to a file that other programs can load, and check its output.

    Example: mriseg export torchscript --model base
    """
    from mriseg import api
    from mriseg.io.exporters import EXPORTERS

    EXPORTERS[format]  # an unknown format is reported before a run is looked for
    with render.drawing() as draw:
        report = api.export(common.run_or_newest(draw, model), format, out, on_event=draw)
    render.say(
        render.results(),
        f"{report.path} ({report.format}): differs from the model by at most "
        f"{report.largest_difference:.2g} ({report.checked_by})",
    )


def share(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to create.")],
    model: options.Model = None,
    evaluation: Annotated[
        list[str] | None,
        options.option(
            "--evaluation",
            "An evaluation.json for the model card, optionally with a description of what was "
            "measured, such as FLAIR=FILE. May be repeated.",
            "[TEXT=]FILE",
        ),
    ] = None,
    data: Annotated[
        str | None,
        options.option("--data", "Training data, as described in the model card.", "TEXT"),
    ] = None,
    terms: Annotated[
        str | None, options.option("--terms", "Terms of use, as stated in the model card.", "TEXT")
    ] = None,
    keep_names: Annotated[
        bool, options.option("--keep-names", "Keep the names of cases and patients.")
    ] = False,
) -> None:
    """Prepare a model for sharing: a small folder of weights and a model card, without names.

    The folder can be used wherever a run can: --model OUT, --from OUT.

    Example: mriseg share glioma/ --evaluation evaluation/evaluation.json
    """
    from mriseg import api

    with render.drawing() as draw:
        report = api.share(
            common.run_or_newest(draw, model),
            out,
            evaluations=options.labelled(evaluation or []),
            data=data,
            terms=terms,
            keep_names=keep_names,
            on_event=draw,
        )
    render.say(render.results(), f"{report.path}: {report.size_bytes / 1e6:.1f} MB")
