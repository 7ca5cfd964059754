"""The page of an evaluation, beside its tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mriseg.events import Recipe, Wrote
from mriseg.io.disk.documents import read_picture
from mriseg.recipes.about import Heard, about, software
from mriseg.recipes.scores import EvaluateReport
from mriseg.report import html
from mriseg.report.case_views import CaseViews
from mriseg.report.pages.evaluation import CaseView, evaluation_page


def page_written(
    report: EvaluateReport,
    out: Path,
    *,
    model: str = "",
    machine: str = "",
    said: Sequence[str] = (),
    volumes: CaseViews | None = None,
) -> Recipe[None]:
    """Write ``report.html`` into the folder of an evaluation.

    Args:
        report: what was measured.
        out: the folder, with ``cases.png`` where scans were measured with pictures.
        model: that made the masks; empty where files were measured.
        machine: where they were made.
        said: of single cases, beside the report's own notices.
        volumes: of the cases, by name; None: the page has no pictures of them.

    Raises:
        OutputError: it cannot be written.
    """
    picture = out / "cases.png"
    shown = read_picture(picture) if volumes is not None and picture.exists() else None
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
        views=_views(report, volumes) if volumes is not None else {},
    )
    path = out / html.FILE
    html.write(path, page)
    yield Wrote(path, "report")


def _views(report: EvaluateReport, volumes: CaseViews) -> dict[str, CaseView]:
    views = {}
    for name in dict.fromkeys(score.case for score in report.scores):
        viewer = volumes.viewer(name)
        if viewer is not None:
            views[name] = CaseView(viewer, volumes.size(name))
    return views
