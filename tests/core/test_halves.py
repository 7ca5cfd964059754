"""What is computed by the bits of float16 is what is computed number by number."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from mriseg.core import halves

Half = NDArray[np.float16]
any_halves = arrays.arrays(np.float16, st.integers(0, 60))


def test_every_number_is_there_once() -> None:
    assert len(halves.every()) == 2**16
    assert (halves.every().view(np.uint16) == np.arange(2**16)).all()


@given(array=any_halves)
def test_nonzero_is_that_of_numpy(array: Half) -> None:
    assert (halves.nonzero(array) == (array != 0)).all()
    wide = array.astype(np.float32)
    assert (halves.nonzero(wide) == (wide != 0)).all()


def test_bytes_in_another_order_are_compared_as_numbers() -> None:
    swapped = np.array([0.0, 1.0, -0.0], dtype=np.float16)
    swapped = swapped.astype(swapped.dtype.newbyteorder("S"))
    assert not halves.is_half(swapped)
    assert halves.nonzero(swapped).tolist() == [False, True, False]


@given(array=any_halves)
def test_a_function_of_each_number_gives_the_same(array: Half) -> None:
    def function(values: Half) -> NDArray[np.float32]:
        return np.rint(values.astype(np.float32) * np.float32(1.7))

    with np.errstate(all="ignore"):
        assert np.array_equal(halves.mapped(array, function), function(array), equal_nan=True)


@given(
    array=any_halves,
    shares=st.lists(st.floats(0, 100), min_size=1, max_size=4),
)
def test_percentiles_are_those_of_numpy(array: Half, shares: list[float]) -> None:
    used = array[np.isfinite(array) & (array != 0)].astype(np.float32)
    mine = halves.percentiles(array, shares)
    assert len(mine) == (len(shares) if used.size else 0)
    if used.size:
        assert mine == pytest.approx(np.percentile(used, shares).tolist(), rel=1e-6, abs=1e-9)


def test_a_view_of_a_scan_is_read_where_it_lies() -> None:
    scan = np.random.default_rng(0).normal(size=(6, 2, 8, 7)).astype(np.float16)
    view = scan.transpose(1, 0, 2, 3)[1, 1:5, ::2]
    used = view.astype(np.float32)
    assert halves.percentiles(view, (1, 50)) == np.percentile(used, (1, 50)).tolist()
