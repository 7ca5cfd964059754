"""What is kept of a head to judge a stripping by: slices of the brain's height, and its volume."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.orientation import geometry_of
from mriseg.core.outline import outlined
from mriseg.errors import InputError

SHAPE = (20, 30, 25)
GEOMETRY = geometry_of(SHAPE, np.diag([1.0, 2.0, 4.0, 1.0]))


@given(st.integers(0, 24), st.integers(0, 24), st.integers(0, 2**32 - 1))
def test_the_slices_lie_within_the_brain_and_are_those_of_the_scan(
    one: int, other: int, seed: int
) -> None:
    image = np.random.default_rng(seed).random(SHAPE)
    brain = np.zeros(SHAPE, dtype=bool)
    low, high = sorted((one, other))
    brain[4:12, 5:20, low : high + 1] = True
    outline = outlined(image, brain, GEOMETRY, modality="T1", stripper="a")
    assert all(low <= number <= high for number in outline.numbers)
    for number, head, inside in zip(outline.numbers, outline.head, outline.brain, strict=True):
        # Canonical axes: y from the front, x from the patient's right.
        assert np.array_equal(np.sort(head, axis=None), np.sort(image[:, :, number], axis=None))
        assert inside.sum() == 8 * 15
    assert outline.spacing == (2.0, 1.0)
    assert outline.volume.value == pytest.approx(brain.sum() * 8 / 1000)


def test_it_holds_no_view_of_the_whole_scan() -> None:
    image, brain = np.ones(SHAPE), np.ones(SHAPE, dtype=bool)
    outline = outlined(image, brain, GEOMETRY)
    assert outline.head.base is None and outline.brain.base is None


def test_no_brain_or_one_of_another_scan_is_refused() -> None:
    image, brain = np.ones(SHAPE), np.ones(SHAPE, dtype=bool)
    with pytest.raises(InputError, match="no voxels has no outline"):
        outlined(image, np.zeros_like(brain), GEOMETRY)
    with pytest.raises(InputError, match="does not have the geometry"):
        outlined(image, brain[:-1], GEOMETRY)
