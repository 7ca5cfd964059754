from __future__ import annotations

from mriseg.core.wording import agreeing, counted, pixel_size


def test_one_is_singular_and_all_else_plural() -> None:
    assert [counted(n, "case") for n in (0, 1, 2)] == ["0 cases", "1 case", "2 cases"]
    assert [agreeing(n, "has", "have") for n in (0, 1, 2)] == ["have", "has", "have"]


def test_pixels_have_a_size_of_three_digits() -> None:
    assert pixel_size((0.4296875, 1.0)) == "0.43 x 1 mm"
