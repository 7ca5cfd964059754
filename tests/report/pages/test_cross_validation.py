"""The page of a cross-validation leads with those who chose nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mriseg.core.metrics import summarise
from mriseg.report.page import About, Table
from mriseg.report.pages.cross_validation import cross_validation_page
from tests.core.test_pooled_calibration import score
from tests.io.test_cross_validations import DICE, RESULT

FIGURES = tuple(
    replace(DICE, group=group, metric=metric)
    for group in ("", "A")
    for metric in ("dice", "sensitivity", "precision", "hd95")
)


def test_it_shows_figures_and_who_was_held_out() -> None:
    scores = [score("a", 0.5), score("b", 0.75)]
    about = About(created="2026-01-01", versions={"mriseg": "1"})
    page = cross_validation_page(
        replace(RESULT, figures=FIGURES), scores, summarise(scores, np.random.default_rng(0)), about
    )
    assert page.kind == "Cross-validation" and page.title == "lgg: 2 groups"
    first, second, *others = page.sections
    tables = [b for s in (first, second) for b in s.blocks if isinstance(b, Table)]
    assert [row[0].text for row in tables[0].rows] == ["all patients", "A"]
    assert [cell.text for cell in tables[0].rows[0]][3:] == [
        *("0.750", "0.500", "0.875", "0.500", "0.750", "0.750", "7"),
    ]
    assert [row[0].text for row in tables[1].rows] == ["A", "B"]
    assert {"Summary", "Cases"} <= {section.title for section in others}
    assert page.methods is not None and "leaving 2 groups out whole" in page.methods.text
