from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.parts import Part
from mriseg.errors import ConfigError


@given(st.lists(st.integers(), unique=True), st.integers(1, 12))
def test_the_parts_are_disjoint_and_together_all(items: list[int], of: int) -> None:
    parts = [Part(number, of).among(items) for number in range(1, of + 1)]
    assert sorted(item for part in parts for item in part) == sorted(items)
    lengths = [len(part) for part in parts]
    assert max(lengths) - min(lengths) <= 1


@given(st.integers(1, 99), st.integers(0, 99))
def test_a_part_is_read_as_it_is_written(number: int, more: int) -> None:
    part = Part(number, number + more)
    assert Part.parse(str(part)) == part


@pytest.mark.parametrize(
    "text", ["", "3", "3/", "0/4", "5/4", "-1/4", "1/0", "a/b", "1/2/3", "1.5/2"]
)
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="part"):
        Part.parse(text)
