from __future__ import annotations

from mriseg.core.wording import agreeing, counted


def test_one_is_singular_and_all_else_plural() -> None:
    assert [counted(n, "case") for n in (0, 1, 2)] == ["0 cases", "1 case", "2 cases"]
    assert [agreeing(n, "has", "have") for n in (0, 1, 2)] == ["have", "has", "have"]
