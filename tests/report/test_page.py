from __future__ import annotations

import math

import pytest

from mriseg.report.page import DISCLAIMER, Picture, number
from tests.pages import png


@pytest.mark.parametrize(
    ("value", "text", "sort"),
    [
        (0.5, "0.500", 0.5),
        (12345.678, "12,345.678", 12345.678),
        (None, "-", None),
        (math.nan, "-", None),
        (math.inf, "-", None),
    ],
)
def test_a_number_is_sorted_by_its_value_and_the_undefined_is_a_dash(
    value: float | None, text: str, sort: float | None
) -> None:
    cell = number(value)
    assert (cell.text, cell.sort) == (text, sort)


def test_pictures_know_their_kind() -> None:
    assert Picture(png(), "x").kind == "image/png"
    assert Picture(b"\xff\xd8\xff", "x").kind == "image/jpeg"


def test_every_page_says_what_it_is_not() -> None:
    assert "not for clinical use" in DISCLAIMER
