"""Measure a recipe on patients that chose nothing: cross-validate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mriseg.cli import options, render, together
from mriseg.cli.bundles import Bundle, bundled
from mriseg.cli.commands import common
from mriseg.cli.commands.make import SCRATCH, Start, check_validates_nobody
from mriseg.cli.reports import results
from mriseg.cli.settings import given_settings, read_settings, setting_options
from mriseg.core.config import TrainConfig, TransferConfig
from mriseg.core.train_settings import training_config
from mriseg.errors import ConfigError

if TYPE_CHECKING:
    from mriseg.core.cross_validation import Grouping

_PANEL = "Patients and folds"
_FORM = "GROUP=PATTERN,...|FILE"

_Folds = Annotated[
    int | None,
    options.option(
        "--folds",
        "Number of folds of patients, each left out once. (default: 5)",
        "N",
        panel=_PANEL,
    ),
]
_LeaveOut = Annotated[
    str | None,
    options.option(
        "--leave-out",
        "Leave out these groups of cases (institutions, data sets) instead, each whole and once: "
        "patterns of names, as in DU=TCGA_DU_*,HT=TCGA_HT_*, or a CSV file with the columns case "
        "and group. Cases in no group train always. (default: folds)",
        _FORM,
        panel=_PANEL,
    ),
]
_Groups = Annotated[
    str | None,
    options.option(
        "--groups",
        "Groups of cases, likewise, to report and to calibrate by; a patient's cases may be in "
        "several. (default: those left out, or none)",
        _FORM,
        panel=_PANEL,
    ),
]
_Subsets = Annotated[
    str | None,
    options.option(
        "--subsets",
        "Modalities with which patients left out are measured and calibrated; all = all that a "
        "case has. (default: all, and each alone if training sees cases without some)",
        "all,T1+FLAIR,FLAIR",
        panel=_PANEL,
    ),
]
_Adopt = Annotated[
    list[str] | None,
    options.option(
        "--adopt",
        "Take a finished run as the training without a part (a group, or fold-1, ...); it must "
        "have been trained alike. May be repeated.",
        "PART=RUN",
        panel=_PANEL,
    ),
]


@bundled(
    settings=setting_options(TransferConfig, TrainConfig, leave_out=("calibration",)),
    computing=options.COMPUTING,
    work=options.WORKING,
)
def cross_validate(
    *,
    store: Annotated[
        str, typer.Argument(metavar="STORE", help="Store of labelled cases, a folder or a URL.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to create or to go on in.")],
    start: Start = SCRATCH,
    folds: _Folds = None,
    leave_out: _LeaveOut = None,
    groups: _Groups = None,
    subsets: _Subsets = None,
    adopt: _Adopt = None,
    config: options.ConfigFile = None,
    settings: Bundle,
    computing: Bundle,
    work: Bundle,
) -> None:
    """Measure each patient by a run that never saw them, and calibrate across institutions.

    One training for each fold or group, each of --epochs or --budget, without validation. If it is
    stopped, the same command goes on.

    Example: mriseg cross-validate lgg.zarr out --leave-out A=DU_*,B=HT_*
    """
    from mriseg import api
    from mriseg.core.cross_validation import parse_subsets

    check_validates_nobody(settings, "a cross-validation")
    if folds is not None and leave_out is not None:
        raise ConfigError("--folds and --leave-out both say who is left out: give one of them")
    together.refuse("cross-validate")
    asked = api.CrossOptions(
        folds=5 if folds is None else folds,
        leave_out=_grouping(leave_out),
        groups=_grouping(groups),
        subsets=None if subsets is None else parse_subsets(subsets),
        adopt=_parts(adopt or ()),
    )
    given = given_settings(settings)
    with render.drawing() as draw:
        layers = training_config(read_settings(config), given)
        with common.naming_the_comparison(out, "OUT"):
            report = api.cross_validate(
                store,
                out,
                layers,
                source=None if start == SCRATCH else common.pinned(draw, start),
                options=asked,
                backend=common.computing_for(draw, work, computing),
                on_event=draw,
                **work,
            )
    results.cross_validated(render.results(), report)


def _grouping(text: str | None) -> Grouping | None:
    """Groups as they were typed: patterns, or a file that lists them."""
    from mriseg.core.cross_validation import parse_groups
    from mriseg.io.cross_validations import read_groups
    from mriseg.io.location import local_path

    if text is None:
        return None
    if "=" in text:
        return parse_groups(text)
    path = local_path(text, "a table of groups")
    if not path.exists():
        raise ConfigError(
            f"{text}: there is no such file; expected a table with the columns case and group, or "
            f"patterns of case names such as A=DU_*,B=HT_*"
        )
    return read_groups(path)


def _parts(given: Sequence[str]) -> dict[str, Any]:
    """["DU=runs/du"] -> {"DU": the run}."""
    from mriseg.io.runs import open_run

    parts = {}
    for item in given:
        part, _, run = item.partition("=")
        if not part or not run or part in parts:
            raise ConfigError(f"--adopt {item}: expected PART=RUN, each part once")
        parts[part] = open_run(run)
    return parts
