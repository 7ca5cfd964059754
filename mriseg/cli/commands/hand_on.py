"""Hand a model on: export, share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mriseg.cli import options, render
from mriseg.cli.commands import common
from mriseg.errors import ConfigError


def export(
    format: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT", help="Format: torchscript, onnx, pt2, coreml, monai, web."
        ),
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
    single_file: Annotated[
        bool,
        options.option(
            "--single-file", "For web: one HTML file that opens from disk, instead of a folder."
        ),
    ] = False,
    int8: Annotated[
        bool,
        options.option("--int8", "For onnx: compute in 8-bit integers, if Dice stays as good."),
    ] = False,
    store: Annotated[
        str | None,
        options.option(
            "--store",
            "For --int8: a store with labelled patients that the model was not trained on.",
            "STORE",
        ),
    ] = None,
) -> None:
    """Export a model to a file that other programs can load, and check its output.

    Example: mriseg export torchscript --model base
    """
    from mriseg import api
    from mriseg.io.exporters import EXPORTERS

    EXPORTERS[format]  # an unknown format is reported before a run is looked for
    if single_file and format != "web":
        raise ConfigError(f"--single-file is for web; {format} is one file in any case")
    if int8 or store is not None:
        _export_int8(format, model, out, int8, store)
        return
    with render.drawing() as draw:
        run = common.run_or_newest(draw, model)
        report = api.export(run, format, out, single_file=single_file, on_event=draw)
    render.say(
        render.results(),
        f"{report.path} ({report.format}): differs from the model by at most "
        f"{report.largest_difference:.2g} ({report.checked_by})",
    )


def _export_int8(
    format: str, model: str | None, out: Path | None, int8: bool, store: str | None
) -> None:
    from mriseg import api

    if not int8:
        raise ConfigError("--store is for --int8, which measures a file in integers on it")
    if format != "onnx":
        raise ConfigError(f"--int8 is for onnx, not for {format}")
    if store is None:
        raise ConfigError(
            "--int8 needs a store with labelled patients that the model was not trained on: name "
            "it with --store, such as the one of its training with its validation patients"
        )
    with render.drawing() as draw:
        report = api.export_int8(common.run_or_newest(draw, model), store, out, on_event=draw)
    render.say(render.results(), report.overview().title)


_Evaluations = Annotated[
    list[str] | None,
    options.option(
        "--evaluation",
        "An evaluation.json for the model card, optionally with a description of what was "
        "measured, such as FLAIR=FILE. May be repeated.",
        "[TEXT=]FILE",
    ),
]
_CrossValidation = Annotated[
    Path | None,
    options.option(
        "--cross-validation",
        "Folder of a mriseg cross-validate of trainings like this one; its numbers come first in "
        "the model card.",
        "DIR",
    ),
]


def share(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to create.")],
    model: options.Model = None,
    evaluation: _Evaluations = None,
    cross_validation: _CrossValidation = None,
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
    push: Annotated[
        str | None,
        options.option(
            "--push",
            "Then push the folder to the Hugging Face Hub, once you confirm. An OUT that mriseg "
            "share made before, perhaps edited since, is pushed as it is.",
            "USER/NAME",
        ),
    ] = None,
    private: Annotated[
        bool,
        options.option("--private", "For --push: a new repository is seen by its owner alone."),
    ] = False,
    yes: Annotated[
        bool, options.option("--yes", "For --push: push without asking, as in a script.")
    ] = False,
) -> None:
    """Prepare a model for sharing: a small folder of weights and a model card, without names.

    The folder can be used wherever a run can: --model OUT, --from OUT.

    Example: mriseg share glioma/ --push USER/glioma
    """
    from mriseg import api

    _check_push(push, private, yes)
    described = model or evaluation or cross_validation or data or terms or keep_names
    if push is None or described or not (out / "run.json").exists():
        with render.drawing() as draw:
            report = api.share(
                common.run_or_newest(draw, model),
                out,
                evaluations=options.labelled(evaluation or []),
                cross_validation=cross_validation,
                data=data,
                terms=terms,
                keep_names=keep_names,
                on_event=draw,
            )
        render.say(render.results(), f"{report.path}: {report.size_bytes / 1e6:.1f} MB")
    if push is not None:
        _push(out, push, private=private, asks=not yes)


def _check_push(push: str | None, private: bool, yes: bool) -> None:
    """Refuse what cannot be pushed, before a folder is made."""
    if push is None:
        if private or yes:
            raise ConfigError("--private and --yes are for --push USER/NAME")
        return
    from mriseg.io.hub.pushing import check_push

    check_push(push)
    if not yes and not sys.stdin.isatty():
        raise ConfigError("--push asks before it pushes, and nobody can answer here: add --yes")


def _push(folder: Path, repo: str, *, private: bool, asks: bool) -> None:
    from mriseg import api
    from mriseg.io.hub.library import endpoint
    from mriseg.io.hub.pushing import pushable

    run, console = api.open_run(folder), render.results()
    names = "without" if run.manifest.salt else "WITH"
    files = ", ".join(path.name for path in pushable(folder))
    seen = "private" if private else "public"
    text = f"{files}, {names} the names of cases, to {endpoint()}/{repo} (if new: {seen})"
    if asks and not typer.confirm(f"Push {text}?"):
        render.say(console, f"not pushed; {folder} is kept")
        raise typer.Exit(1)
    with render.drawing() as draw:
        report = api.push(run, repo, private=private, on_event=draw)
    render.say(console, f"{report.address}: {report.url}")
