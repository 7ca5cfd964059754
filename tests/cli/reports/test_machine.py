from __future__ import annotations

import pytest

from mriseg.cli.reports.machine import _seconds, _si


@pytest.mark.parametrize(
    ("value", "text"), [(1.9e11, "190 G"), (3.2e12, "3.2 T"), (12.0, "12 "), (1e18, "1e+03 P")]
)
def test_rates_have_a_prefix(value: float, text: str) -> None:
    assert _si(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0123, "12.3 ms"), (1.0, "1.00 s")])
def test_times_have_a_unit(value: float, text: str) -> None:
    assert _seconds(value) == text
