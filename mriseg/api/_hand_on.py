"""Hand a model on: export, export_int8, share, push."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mriseg.api._given import OnEvent, Stored, path_of, run_of, store_of
from mriseg.api._running import run_to_end
from mriseg.io.location import local_path
from mriseg.io.runs import Run
from mriseg.recipes import export as exports
from mriseg.recipes import export_int8 as int8
from mriseg.recipes import push as pushes
from mriseg.recipes import share as sharing
from mriseg.recipes.export import ExportReport
from mriseg.recipes.export_int8 import Int8Report
from mriseg.recipes.export_web import export_web
from mriseg.recipes.push import PushReport
from mriseg.recipes.share import ShareReport


def export(
    run: str | Path | Run,
    format: str = "torchscript",
    out: str | Path | None = None,
    *,
    single_file: bool = False,
    on_event: OnEvent | None = None,
) -> ExportReport:
    """Write a run's model as a file that other programs load, checked against the model.

    See `mriseg.recipes.export.export` for the arguments and what is raised. The format "web" is a
    folder (`mriseg.recipes.export_web.export_web`), or with ``single_file`` one file.
    """
    path = path_of(out, "an exported file")
    if format == "web" and not single_file:
        return run_to_end(export_web(run_of(run), path), on_event)
    return run_to_end(exports.export(run_of(run), format, path), on_event)


def export_int8(
    run: str | Path | Run,
    store: Stored,
    out: str | Path | None = None,
    *,
    on_event: OnEvent | None = None,
) -> Int8Report:
    """Write a run's model as an ONNX file in integers, if its masks stay as good.

    See `mriseg.recipes.export_int8.export_int8` for the arguments and what is raised.
    """
    recipe = int8.export_int8(run_of(run), store_of(store), path_of(out, "an exported file"))
    return run_to_end(recipe, on_event)


def share(
    run: str | Path | Run,
    out: str | Path,
    *,
    evaluations: Mapping[str, str | Path] | None = None,
    cross_validation: str | Path | None = None,
    data: str | None = None,
    terms: str | None = None,
    keep_names: bool = False,
    on_event: OnEvent | None = None,
) -> ShareReport:
    """Make a slim folder of a run's model, with a model card, to hand to others.

    See `mriseg.recipes.share.share` for the arguments and what is raised.
    """
    recipe = sharing.share(
        run_of(run),
        local_path(out, "a shared model"),
        evaluations={
            text: local_path(path, "an evaluation") for text, path in (evaluations or {}).items()
        },
        cross_validation=path_of(cross_validation, "a cross-validation"),
        data=data,
        terms=terms,
        keep_names=keep_names,
    )
    return run_to_end(recipe, on_event)


def push(
    model: str | Path | Run,
    repo: str,
    *,
    private: bool = False,
    on_event: OnEvent | None = None,
) -> PushReport:
    """Push a model that `share` made to the Hugging Face Hub, without asking.

    See `mriseg.recipes.push.push` for the arguments and what is raised.
    """
    return run_to_end(pushes.push(run_of(model), repo, private=private), on_event)
