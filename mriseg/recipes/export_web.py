"""A run's model as a page of several files, in a folder; in one file it is a format like others."""

from __future__ import annotations

from pathlib import Path

from mriseg.backends import reference_backend
from mriseg.engine.inference import ready
from mriseg.errors import ExportError, OutputError, reason_of
from mriseg.events import Notice, Recipe, Wrote
from mriseg.io.disk.atomic import fsync_tree, staging
from mriseg.io.disk.space import check_writable
from mriseg.io.exporters.web import EXPORTER
from mriseg.io.runs import Run
from mriseg.recipes.export import ExportReport, deployed, describe
from mriseg.recipes.export_check import Check
from mriseg.recipes.load import load_model

SUFFIX = ".web"


def export_web(run: Run, out: Path | None = None) -> Recipe[ExportReport]:
    """Write a run's best model as a folder that a web server hands out, and check its model.

    Args:
        run: the model.
        out: the folder; an earlier page in it is replaced. None: ``model.web`` in the run's folder,
            or, of a model that was shared or is shipped, its name with ``.web`` here.

    Raises:
        BackendError: a library of the extra onnx is not installed.
        RunError: the run has no weights, damaged ones, or was never trained.
        OutputError: ``out`` cannot be written, or holds something else.
        ExportError: this installation lacks what pages need, or the page does not give the model's
            output; nothing is left.
    """
    folder = _target(run, out)
    backend = reference_backend()
    model = load_model(run, backend)
    metadata = describe(run)
    yield Notice(f"model {run.path} ({run.chosen}); a page in a folder, for a server")
    with staging(folder.parent) as part:
        new = part / folder.name
        EXPORTER.export_folder(deployed(model, run), metadata, new)
        exported = EXPORTER.load(new)
        if exported.metadata != metadata:
            raise ExportError("the page gives back other metadata than was written")
        check = Check("web", EXPORTER.sizes, ready(model, backend), backend, run.manifest)
        largest = yield from check.differences(exported)
        fsync_tree(new)
        _replace(folder, new, part / "earlier")
    yield Wrote(folder, f"page, at most {largest:.1e} from the run's model ({exported.runtime})")
    size = sum(path.stat().st_size for path in folder.iterdir())
    return ExportReport(folder, "web", largest, size, exported.runtime)


def _target(run: Run, out: Path | None) -> Path:
    place = Path(run.name) if run.is_shared else run.path / "model"
    folder = place.with_name(place.name + SUFFIX) if out is None else out
    if folder.is_file():
        raise OutputError(
            f"{folder} is a file, and a page of several files is a folder; name another, or write "
            f"one file with --single-file"
        )
    if folder.is_dir() and any(folder.iterdir()) and not EXPORTER.matches(folder):
        raise OutputError(f"{folder} holds other files than a page of mriseg's; name a new folder")
    check_writable(folder.parent)
    return folder


def _replace(folder: Path, new: Path, aside: Path) -> None:
    """Move a folder to its place; what was there goes with ``aside``."""
    try:
        if folder.exists():
            folder.rename(aside)
        new.rename(folder)
    except OSError as error:
        if aside.exists() and not folder.exists():
            aside.rename(folder)
        raise OutputError(f"{folder} cannot be written: {reason_of(error)}") from error
