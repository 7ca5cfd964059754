"""An epoch's batches are a sequence, each made when it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from mriseg.core.epoch_plan import SLICES, BatchPlan, EpochPlan
from mriseg.core.volume import SliceRef


def test_numbers_become_the_slices_that_they_are() -> None:
    plan = EpochPlan(("a", "b"), np.array([[0, 7], [SLICES, SLICES + 2], [1, SLICES + 9]]))
    first = BatchPlan((SliceRef("a", 0), SliceRef("a", 7)))
    last = BatchPlan((SliceRef("a", 1), SliceRef("b", 9)))
    assert len(plan) == 3 and plan[0] == first and plan[-1] == last
    assert list(plan)[0] == first and list(plan[1:]) == list(plan)[1:]
    assert plan == list(plan) and plan == plan[:] and plan != plan[1:] and plan != 3
    with pytest.raises(IndexError):
        plan[3]
    with pytest.raises(TypeError, match="unhashable"):
        hash(plan)
