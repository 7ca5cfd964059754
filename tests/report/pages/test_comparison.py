from __future__ import annotations

from mriseg.core.comparison import Score, compared
from mriseg.report import html
from mriseg.report.pages.comparison import comparison_page, lines
from tests.pages import ABOUT, checked


def test_verdicts_a_chart_and_both_tables() -> None:
    scores = [
        Score(method, size, patients, 0, fold, f"p{n}", f"p{n}", dice + n / 100, {"WT": dice}, 60.0)
        for method, dice in (("scratch", 0.5), ("full", 0.7))
        for size, patients in (("5", 5), ("all", 9))
        for n, fold in enumerate((1, 1, 2, 2))
    ]
    comparison = compared(scores)
    sizes, drawn = lines(comparison)
    assert sizes == [5, 9] and list(drawn) == ["scratch", "full"]
    text = html.render(
        comparison_page(comparison, ABOUT, source="base", store="ours", patients=10, folds=2)
    )
    page = checked(text)
    assert "base to ours" in page.text and len(page.all("svg")) == 1
    for verdict in comparison.verdicts.values():
        assert verdict in page.text
    assert "With 5 training patients" in page.text and "random weights, all trained" in page.text
    assert len(page.all("table")) == 2
