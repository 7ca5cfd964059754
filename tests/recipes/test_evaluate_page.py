from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mriseg.core.metrics import summarise
from mriseg.events import Wrote, finish
from mriseg.recipes.evaluate_page import page_written
from mriseg.recipes.scores import EvaluateReport
from mriseg.report.case_views import CaseViews
from tests.pages import checked, png
from tests.recipes.test_scores import scores


def test_the_page_lies_beside_the_tables_and_shows_the_cases(tmp_path: Path) -> None:
    summary = tuple(summarise(scores(), np.random.default_rng(0)))
    report = EvaluateReport(scores(), summary, skipped=(("x", "why"),), notices=("of all",))
    (tmp_path / "cases.png").write_bytes(png())
    events: list[object] = []
    finish(page_written(report, tmp_path, said=("of one",)), events.append)
    assert events == [Wrote(tmp_path / "report.html", "report")]
    page = checked((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "of all" in page.text and "of one" in page.text and "x: why" in page.text
    assert not page.all("img")  # an earlier evaluation's: mask files have no scans to show

    of_a_model = replace(report, prediction={"model": "run", "flips": True})
    (tmp_path / "volumes").mkdir()
    finish(page_written(of_a_model, tmp_path, model="run", volumes=CaseViews(tmp_path / "volumes")))
    page = checked((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(page.all("img")) == 1 and "run on 2 cases" in page.text
