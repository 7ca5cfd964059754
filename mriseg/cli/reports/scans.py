"""What the commands show of a folder of scans: its cases, and the files that are in none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from rich.console import Console

from mriseg.cli.render import say
from mriseg.cli.reports.table import table
from mriseg.core.modalities import SEGMENTATION
from mriseg.core.wording import counted

if TYPE_CHECKING:
    from mriseg.recipes.inspect import InspectedCase, InspectReport

# Cases shown one by one; of more, --csv and --json have all.
_MAX_CASES = 40
_MAX_UNUSED = 40


def inspected(console: Console, report: InspectReport) -> None:
    """A row per case with its files, a row with what they hold, and each file that is not used."""
    shown = report.cases[:_MAX_CASES]
    roles = list(dict.fromkeys(role for case in report.cases for role in case.files))
    roles.sort(key=lambda role: role == SEGMENTATION)
    table(
        console,
        ("case", "patient", "visit", *roles),
        [(case.case, case.patient, case.visit, *_files(case, roles)) for case in shown],
        text=3 + len(roles),
        optional=("visit",),
    )
    table(
        console,
        ("case", "size", "spacing", "axes", "labels (voxels) and regions", "notes"),
        [_facts(case, report) for case in shown],
        text=6,
    )
    series = [(c.case, role, text) for c in shown for role, text in c.series.items()]
    if series:
        table(console, ("case", "taken for", "series (number, name, why)"), series, text=3)
    if len(report.cases) > len(shown):
        say(console, f"... and {len(report.cases) - len(shown)} more: --csv and --json have all")
    if report.unused:
        unused = list(report.unused.items())
        table(console, ("not used", "why"), unused[:_MAX_UNUSED], text=2)
        if len(unused) > _MAX_UNUSED:
            say(console, f"... and {len(unused) - _MAX_UNUSED} more: --json has all")
    patients = len({case.patient for case in report.cases if not case.problem})
    usable = len(report.cases) - len(report.refused)
    labelled = sum(SEGMENTATION in case.files for case in report.cases if not case.problem)
    say(
        console,
        f"{report.source}: {counted(usable, 'case')} of {counted(patients, 'patient')} in layout "
        f"{report.layout}, {labelled} with a segmentation; {len(report.refused)} refused; "
        f"{counted(len(report.unused), 'file')} not used",
    )


def _files(case: InspectedCase, roles: Sequence[str]) -> list[str]:
    """A case's files, without the folders and the beginning that all of them share."""
    names = [path for files in case.files.values() for path in files]
    shared = os.path.commonprefix(names) if len(names) > 1 else ""
    cut = len(shared) if len(names) > 1 else 0
    cells = []
    for role in roles:
        files = case.files.get(role, ())
        if len(files) > 2:
            cells.append(counted(len(files), "file"))
        else:
            cells.append(" | ".join("…" + f[cut:] if cut else PurePosixPath(f).name for f in files))
    return cells


def _facts(case: InspectedCase, report: InspectReport) -> tuple[str, ...]:
    return (
        case.case,
        "x".join(map(str, case.shape)),
        "x".join(f"{side:.3g}" for side in case.spacing) + (f" {case.unit}" if case.unit else ""),
        case.orientation,
        ", ".join(_label(value, count, case, report) for value, count in case.labels.items()),
        case.problem or "; ".join(case.notices),
    )


def _label(value: int, count: int, case: InspectedCase, report: InspectReport) -> str:
    label = case.renamed.get(value, value)
    within = [name for name, labels in report.regions.items() if label in labels]
    renamed = f"={label}" if label != value else ""
    return f"{value}{renamed}: {count} ({'+'.join(within) or 'no region'})"
