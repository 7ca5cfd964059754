"""The page of a forecast says what more cases are worth, in a sentence, a chart and tables."""

from __future__ import annotations

from mriseg.report import html
from mriseg.report.pages.forecast import forecast_page
from tests.pages import ABOUT, checked
from tests.report.test_forecast_chart import sample_forecast


def test_a_sentence_a_chart_and_both_tables() -> None:
    forecast = sample_forecast()
    text = html.render(forecast_page(forecast, ABOUT, source="scratch", store="ours", folds=5))
    page = checked(text)
    assert forecast.sentence[1:] in page.text and len(page.all("svg")) == 1
    assert len(page.all("table")) == 2 and "10 more cases" in page.text
    # The last row is the answer.
    assert page.text.count("40") >= 1 and f"{forecast.at(40).dice:.3f}" in page.text
    assert "Figueroa et al. 2012" in page.text and "random weights" in page.text


def test_too_few_points_give_no_curve() -> None:
    forecast = sample_forecast((5, 10))
    text = html.render(forecast_page(forecast, ABOUT, source="base", store="ours", folds=5))
    page = checked(text)
    assert "Too few points to say" in page.text and len(page.all("table")) == 1
