"""What a segmentation shows of how good it is: bounded, and worse where it is less certain."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mriseg.core.evidence import Evidence, evidence_of
from mriseg.core.metrics import count, dice
from mriseg.core.postprocess import threshold

_SHAPE = (3, 4, 5)
_PROBABILITIES = arrays.arrays(np.float32, _SHAPE, elements=st.floats(0, 1, width=32))


def of(probabilities: np.ndarray, agreement: float | None = None) -> Evidence:
    mask = threshold(probabilities)
    return evidence_of(probabilities, mask, mask, agreement)


@given(_PROBABILITIES, st.none() | st.floats(0, 1))
def test_it_is_a_share_whatever_the_probabilities(
    probabilities: np.ndarray, agreement: float | None
) -> None:
    evidence = of(probabilities, agreement)
    assert 0 <= evidence.expected <= 1 and evidence.unmoved == 1
    assert evidence.agreement == agreement
    assert evidence.voxels == np.count_nonzero(probabilities > 0.5)
    assert (evidence.components > 0) == (evidence.voxels > 0)
    assert evidence.mass == pytest.approx(probabilities.sum(), rel=1e-5)


def test_what_is_expected_is_near_the_mean_dice_of_masks_drawn_from_the_probabilities() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.beta(0.3, 0.6, (20, 30, 30)).astype(np.float32)
    mask = threshold(probabilities)
    truths = (generator.random((20, *probabilities.shape)) < probabilities).astype(np.uint8)
    mean = np.mean([dice(count(mask, truth)) for truth in truths])
    assert of(probabilities).expected == pytest.approx(mean, abs=0.01)


def test_a_certain_mask_expects_a_dice_of_one_and_an_empty_one_what_its_doubts_leave() -> None:
    certain = np.zeros(_SHAPE, np.float32)
    assert of(certain).expected == 1
    certain[1, 1:3, 1:3] = 1
    assert of(certain).expected == 1 and of(certain).components == 1
    doubtful = np.full(_SHAPE, 0.4, np.float32)
    assert of(doubtful).voxels == 0 and of(doubtful).expected < 0.05


def test_how_far_the_mask_was_moved_is_counted() -> None:
    probabilities = np.zeros(_SHAPE, np.float32)
    probabilities[1, 1:3, 1:3] = 1
    mask = threshold(probabilities)
    rough = mask.copy()
    rough[1, 1, :] = 1
    moved = evidence_of(probabilities, mask, rough, 0.9)
    assert moved.unmoved == pytest.approx(dice(count(mask, rough))) and moved.unmoved < 1
    assert moved.expected == 1
