from __future__ import annotations

import math
from pathlib import Path

from mriseg.core.volume import SliceRef
from mriseg.engine.divergence import Suspect
from mriseg.recipes.diverged import diverged

RUN = Path("runs/r")


def test_corrupt_slices_are_named_with_the_way_out() -> None:
    worst = [
        Suspect(SliceRef("a", 4), True, math.nan),
        Suspect(SliceRef("a", 3), True, math.nan),
        Suspect(SliceRef("b", 1), False, 0.5),
    ]
    text = str(diverged("the loss became nan", worst, RUN, rate=1e-3, in_full=True))
    assert "case a, slices 3, 4 holds voxels that are NaN" in text and "case b" not in text
    assert "mriseg train NEW --resume --run runs/r" in text and "--exclude a" in text


def test_without_corrupt_slices_the_highest_losses_are() -> None:
    worst = [Suspect(SliceRef("abcd"[i], i), False, 9.0 - i) for i in range(4)]
    text = str(diverged("the loss became inf", worst, RUN, rate=0.1, in_full=False))
    assert "case a, slice 0 (9), case b, slice 1 (8), case c, slice 2 (7)" in text
    assert "case d" not in text and "--precision fp32" in text and "it was 0.1" in text
    exact = str(diverged("x", [], RUN, rate=0.1, in_full=True))
    assert "--precision" not in exact and "highest losses" not in exact
