"""What is unpacked is what was packed, to the bit, and nothing that could run."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mriseg.core.packing import pack, unpack


@dataclass(frozen=True)
class Kind:
    name: str
    values: tuple[Any, ...]


plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner)
        | st.builds(Kind, st.text(), st.lists(inner).map(tuple))
    ),
    max_leaves=8,
)
numbers = arrays.arrays(
    st.sampled_from((np.uint8, np.int64, np.float32, np.float64, np.bool_)),
    arrays.array_shapes(min_dims=0, max_dims=4, min_side=0),
)


@given(values)
def test_values_come_back_as_they_were(value: Any) -> None:
    again = unpack(pack(value), (Kind,))
    assert again == value and repr(again) == repr(value)


@given(st.lists(numbers))
def test_arrays_come_back_to_the_bit(given: list[np.ndarray]) -> None:
    for one, other in zip(given, unpack(pack({"a": given}))["a"], strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        assert one.tobytes() == other.tobytes() and other.flags.writeable


def test_numbers_that_are_not_finite_come_back() -> None:
    nan, infinite = unpack(pack((math.nan, -math.inf)))
    assert math.isnan(nan) and infinite == -math.inf
    assert unpack(pack(np.float32(0.5))) == 0.5


@pytest.mark.parametrize("value", [object(), {1, 2}, np.array([object()]), Kind])
def test_what_is_no_plain_value_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot be handed to another process"):
        pack(value)


@pytest.mark.parametrize("plain", [["kind", "Kind", "a", []], ["array", "|O", [1]], ["os", "x"]])
def test_what_was_not_expected_is_refused(plain: Any) -> None:
    text = json.dumps(plain).encode()
    with pytest.raises(ValueError, match="was sent"):
        unpack(len(text).to_bytes(8, "big") + text + b"\0" * 8)
