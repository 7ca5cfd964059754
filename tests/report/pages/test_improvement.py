"""The page of an improvement: the verdict, both models on each patient, and what to write of it."""

from __future__ import annotations

from mriseg.core.improvement import judge
from mriseg.report import html
from mriseg.report.pages.improvement import Pair, improvement_page
from tests.pages import ABOUT, checked


def test_a_verdict_a_chart_and_the_pairs() -> None:
    pairs = [Pair(f"p{n}", 0.6 + n / 50, 0.7 + n / 60) for n in range(7)]
    judgement = judge({p.patient: p.old for p in pairs}, {p.patient: p.new for p in pairs})
    text = html.render(improvement_page(judgement, pairs, ABOUT, model="base", learnt=9))
    page = checked(text)
    assert judgement.verdict in page.text and len(page.all("svg")) == 1
    assert len(page.all("table")) == 1 and "+0.0" in page.text
    assert "9 corrected patients trained" in page.text and "7 corrected patients" in page.text
