"""Values for people."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from mriseg.overview.values import cell, is_number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.85321, "0.853"),
        (12345.0, "12,345.000"),
        (math.nan, "-"),
        (math.inf, "-"),
        (None, "-"),
        (True, "yes"),
        (False, ""),
        (3, "3"),
        (("T1", "FLAIR"), "T1, FLAIR"),
        ((1.0, math.nan), "1.000, -"),
        ({1: 12, "WT": 0.5}, "1: 12, WT: 0.500"),
        (Path("a/b"), str(Path("a/b"))),
    ],
)
def test_a_cell(value: Any, text: str) -> None:
    assert cell(value) == text


def test_digits() -> None:
    assert cell(1.005, 1) == "1.0" and cell(1234.6, 0) == "1,235"


def test_what_is_aligned_as_numbers() -> None:
    assert all(map(is_number, (1, 0.5, None, math.nan)))
    assert not any(map(is_number, ("1", True, (1,))))
