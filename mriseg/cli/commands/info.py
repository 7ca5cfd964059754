"""Say what is there: info."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mriseg.cli import options, render
from mriseg.cli.bundles import Bundle, bundled
from mriseg.cli.commands import common
from mriseg.cli.reports import contents
from mriseg.cli.reports import machine as machine_report
from mriseg.errors import ConfigError

if TYPE_CHECKING:
    from mriseg.recipes.info import StoredCase

_All = Annotated[
    bool, options.option("--all", "List all cases of a store. (default: the first 20)")
]
_Csv = Annotated[
    Path | None,
    options.option("--csv", "Write the cases of a store, or the runs of a folder, as CSV.", "FILE"),
]


@bundled(computing=options.COMPUTING)
def info(
    *,
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="STORE|RUN|RUNS",
            help="Store, run or folder of runs to describe; base is the shipped model. (default: "
            "this machine)",
        ),
    ] = None,
    every: _All = False,
    csv: _Csv = None,
    json: options.Json = None,
    computing: Bundle,
) -> None:
    """Describe a store, a run, a folder of runs, or this machine and the backend it would use.

    Example: mriseg info out.zarr
    """
    common.check_json(json)
    console = render.results()
    if path is None:
        from mriseg.recipes.info_machine import machine  # late, as all that loads torch

        _refuse_lists("this machine", every, csv)
        facts = machine(common.backend_of(**computing))
        if not render.as_json(json, asdict(facts)):
            machine_report.machine(console, facts)
        return
    from mriseg.recipes.info import StoreInfo, holds

    content = holds(path)
    if isinstance(content, StoreInfo):
        _write(csv, map(_row, content.listed))
        if not _as_json(json, content):
            contents.store(console, content, every=every)
        return
    from mriseg.recipes.info_runs import RunInfo

    if isinstance(content, RunInfo):
        _refuse_lists("a run", every, csv)
        if not _as_json(json, content):
            contents.run(console, content)
        return
    _write(csv, map(asdict, content.runs))
    if not _as_json(json, content):
        contents.runs(console, content)


def _as_json(file: str | None, content: Any) -> bool:
    from mriseg.io.disk.documents import plain

    return render.as_json(file, plain(content))


def _refuse_lists(what: str, every: bool, csv: Path | None) -> None:
    given = [name for name, value in {"--all": every, "--csv": csv}.items() if value]
    if given:
        raise ConfigError(f"{' and '.join(given)}: {what} is no list; leave it out")


def _write(csv: Path | None, rows: Iterable[dict[str, Any]]) -> None:
    from mriseg.io.disk.documents import write_csv

    if csv is not None:
        write_csv(csv, list(rows))


def _row(case: StoredCase) -> dict[str, Any]:
    """A case as a row of a table, a number in each cell."""
    return {
        "case": case.name,
        "patient": case.patient,
        "modalities": "+".join(case.modalities),
        "labelled": case.labelled,
        **dict(zip(("size_x", "size_y", "size_z"), case.size, strict=True)),
        **dict(zip(("spacing_x", "spacing_y", "spacing_z"), case.spacing, strict=True)),
        "unit": case.unit,
        **{f"voxels_{region}": count for region, count in case.voxels.items()},
        **{f"volume_{region}": value for region, value in case.volumes.items()},
        "notices": "; ".join(case.notices),
    }
