"""The page of a run, written again as its training goes on."""

from __future__ import annotations

from pathlib import Path

from mriseg.io.disk.checksums import read_sealed_json
from mriseg.io.disk.documents import read_picture
from mriseg.io.runs import Run
from mriseg.recipes.about import Heard, about, machine_of
from mriseg.report import html
from mriseg.report.pages.training import Progress, training_page

# Said elsewhere on the page, or of names of cases alone.
_NO_SETTING = ("validation_cases", "exclude", "transfer", "augment")


def write_page(run: Run, progress: Progress, heard: Heard, slices: Path | None) -> None:
    """Write ``report.html`` into a run's folder.

    Args:
        run: which.
        progress: how far it is.
        heard: what was said.
        slices: the latest picture of its validation.

    Raises:
        OutputError: it cannot be written.
        InputError, OSError: the picture or ``transfer.json`` cannot be read.
    """
    manifest = run.manifest
    config = dict(manifest.config)
    nested = {
        f"{name}.{key}": value
        for name in ("transfer", "augment")
        for key, value in (config.get(name) or {}).items()
    }
    settings = {name: value for name, value in config.items() if name not in _NO_SETTING}
    transfer = run.path / "transfer.json"
    noted = about(
        manifest.versions,
        heard=heard,
        settings={**settings, **nested},
        machine=machine_of(manifest.backend),
    )
    page = training_page(
        run.name,
        manifest,
        progress,
        noted,
        transfer=read_sealed_json(transfer) if transfer.exists() else None,
        picture=read_picture(slices) if slices is not None and slices.exists() else None,
    )
    html.write(run.within(html.FILE), page)
