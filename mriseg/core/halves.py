"""Arrays of float16, of which there are 65,536 numbers: what depends on a voxel alone is a table.

NumPy converts each number for each comparison. A prepared scan has 14 million of them, and pictures
and pages look at it several times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# All bits but the sign: 0 for both zeros.
_MAGNITUDE = np.uint16(0x7FFF)


def is_half(array: Array) -> TypeGuard[NDArray[np.float16]]:
    """Whether it is of float16, in this machine's byte order."""
    return array.dtype == np.float16 and array.dtype.isnative


def nonzero(array: Array) -> NDArray[np.bool_]:
    """Where an array of any type is not 0; NaN is not."""
    if is_half(array):
        return np.asarray((array.view(np.uint16) & _MAGNITUDE) != 0)
    return np.asarray(array != 0)


def every() -> NDArray[np.float16]:
    """Every number that there is, by its bits."""
    return np.arange(2**16, dtype=np.uint16).view(np.float16)


def mapped(array: NDArray[np.float16], function: Callable[[Array], Array]) -> Array:
    """``function`` of an array, which it must compute from each number alone.

    Args:
        array: of any shape.
        function: is called once, with `every` number.
    """
    with np.errstate(all="ignore"):  # numbers that the array does not hold
        table = function(every())
    return np.asarray(table[array.view(np.uint16)])


def percentiles(array: NDArray[np.float16], shares: Sequence[float]) -> list[float]:
    """`numpy.percentile` of what is finite and not 0; none where nothing is.

    Args:
        array: of any shape; its numbers count as float32, as do those between two of them.
        shares: from 0 to 100.
    """
    counts = np.bincount(array.view(np.uint16).reshape(-1), minlength=2**16)
    numbers = every()
    used = np.flatnonzero((counts > 0) & np.isfinite(numbers) & nonzero(numbers))
    if not used.size:
        return []
    values = numbers[used].astype(np.float32)
    order = np.argsort(values)
    values, ends = values[order], np.cumsum(counts[used][order])
    places = (ends[-1] - 1) * (np.asarray(shares, dtype=np.float64) / 100)
    below = np.floor(places).astype(np.int64)
    above = np.minimum(below + 1, ends[-1] - 1)
    low = values[np.searchsorted(ends, below, side="right")]
    high = values[np.searchsorted(ends, above, side="right")]
    share, step = places - below, high - low
    # From the nearer end, as NumPy does it.
    between = np.where(share < 0.5, low + step * share, high - step * (1 - share))
    return [float(value) for value in between]
