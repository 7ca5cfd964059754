from __future__ import annotations

from dataclasses import replace

import pytest

from mriseg.core.spatial_header import SpatialHeader

ROWS = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0))
HEADER = SpatialHeader(1, ROWS, 1, (0, 0, 0), (0, 0, 0), 0, (1, 1, 1, 1), 2)


@pytest.mark.parametrize(
    ("sform", "qform", "states"), [(0, 0, False), (1, 0, True), (0, 4, True), (-3, 0, True)]
)
def test_a_form_counts_where_its_code_is_not_0(sform: int, qform: int, states: bool) -> None:
    header = replace(HEADER, sform_code=sform, qform_code=qform)
    assert header.states_a_place == states
