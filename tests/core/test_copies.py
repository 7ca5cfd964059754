"""Mirrored copies are counted in parts, and the parts add up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.copies import Copies
from mriseg.core.metrics import count, dice

_LEVELS = (0.5, 0.3)


def drawn(seed: int, slices: int, passes: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Probabilities [b, r, h, w] of the mean, and the mask of each copy."""
    generator = np.random.default_rng(seed)
    each = generator.random((passes, slices, 2, 5, 6))
    masks = (each > np.array(_LEVELS).reshape(-1, 1, 1)).astype(np.uint8)
    return each.mean(axis=0), list(masks)


@given(st.integers(0, 99), st.integers(1, 6), st.integers(2, 4), st.integers(1, 5))
def test_batches_give_what_the_whole_case_gives(
    seed: int, slices: int, passes: int, cut: int
) -> None:
    mean, masks = drawn(seed, slices, passes)
    copies = Copies(_LEVELS)
    for part in (slice(0, cut), slice(cut, None)):
        if len(mean[part]):
            copies.add(mean[part], [mask[part] for mask in masks])
    for r, level in enumerate(_LEVELS):
        consensus = mean[:, r] > level
        expected = np.mean([dice(count(mask[:, r], consensus)) for mask in masks])
        assert copies.agreements[r] == pytest.approx(expected)


def test_one_copy_alone_or_none_agrees_with_nobody() -> None:
    copies = Copies(_LEVELS)
    assert copies.agreements == (None, None)
    mean, masks = drawn(0, 2, 1)
    copies.add(mean, masks)
    assert copies.agreements == (None, None)


def test_copies_that_segment_nothing_agree() -> None:
    copies = Copies([0.5])
    copies.add(np.zeros((2, 1, 3, 3)), [np.zeros((2, 1, 3, 3), np.uint8)] * 2)
    assert copies.agreements == (1.0,)
