from __future__ import annotations

import pytest

from mriseg.core.wording import agreeing, counted, duration, pixel_size, visible


def test_one_is_singular_and_all_else_plural() -> None:
    assert [counted(n, "case") for n in (0, 1, 2)] == ["0 cases", "1 case", "2 cases"]
    assert [agreeing(n, "has", "have") for n in (0, 1, 2)] == ["have", "has", "have"]


def test_pixels_have_a_size_of_three_digits() -> None:
    assert pixel_size((0.4296875, 1.0)) == "0.43 x 1 mm"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (0.44, "0.4 s"),
        (3.0, "3 s"),
        (24.4, "24 s"),
        (99.4, "99 s"),
        (150.0, "2.5 min"),
        (1800.0, "30 min"),
        (9000.0, "2.5 h"),
        (118_800.0, "33 h"),
        (864_000.0, "10 days"),
    ],
)
def test_a_length_of_time_has_two_digits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_names_that_are_not_utf8_are_written_out() -> None:
    assert visible("caf\udce9\x1b[2J\t") == r"caf\udce9\x1b[2J\t"
