"""How uncertain a case is, from what is kept of its regions."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.certainty import RegionCertainty, uncertainty


def region(dice: float | None, expected: float) -> RegionCertainty:
    return RegionCertainty(dice, expected, 1.0, 2.0, 1)


@dataclass
class Record:
    certainty: dict[str, RegionCertainty]


def test_the_calibrated_dice_counts_where_there_is_one() -> None:
    regions = {"WT": region(0.6, 0.9), "ET": region(None, 0.8)}
    assert uncertainty(regions) == pytest.approx(0.3)
    assert uncertainty(Record(regions)) == uncertainty(regions)


def test_of_what_nothing_is_known_is_most_uncertain() -> None:
    assert uncertainty({}) == 1.0
    assert uncertainty(Record({})) == 1.0


_SHARES = st.floats(0, 1)


@given(st.dictionaries(st.text(), st.tuples(st.none() | _SHARES, _SHARES), max_size=4))
def test_it_is_a_share(values: dict[str, tuple[float | None, float]]) -> None:
    assert 0 <= uncertainty({name: region(*each) for name, each in values.items()}) <= 1
