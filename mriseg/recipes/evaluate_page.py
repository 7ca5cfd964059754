"""The page of an evaluation, beside its tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mriseg.events import Recipe, Wrote
from mriseg.io.disk.documents import read_picture
from mriseg.recipes.about import Heard, about, software
from mriseg.recipes.scores import EvaluateReport
from mriseg.report import html
from mriseg.report.pages.evaluation import evaluation_page


def page_written(
    report: EvaluateReport,
    out: Path,
    *,
    model: str = "",
    machine: str = "",
    said: Sequence[str] = (),
    pictures: bool = True,
) -> Recipe[None]:
    """Write ``report.html`` into the folder of an evaluation.

    Args:
        report: what was measured.
        out: the folder, with ``cases.png`` where scans were measured with pictures.
        model: that made the masks; empty where files were measured.
        machine: where they were made.
        said: of single cases, beside the report's own notices.
        pictures: whether the page may have some.

    Raises:
        OutputError: it cannot be written.
    """
    picture = out / "cases.png"
    shown = read_picture(picture) if pictures and model and picture.exists() else None
    noted = about(
        software(),
        heard=Heard([*report.notices, *said], list(report.skipped)),
        settings={**(report.prediction or {}), "tolerance of NSD": report.tolerance},
        machine=machine,
    )
    page = evaluation_page(
        report.scores,
        report.summary,
        noted,
        model=model,
        seen=report.seen,
        tolerance=report.tolerance,
        picture=shown,
    )
    path = out / html.FILE
    html.write(path, page)
    yield Wrote(path, "report")
