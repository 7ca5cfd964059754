"""The picture of an evaluation shows the slices that it says it shows."""

from __future__ import annotations

import numpy as np

from mriseg.core.intensity import Normalisation
from mriseg.core.prepare import PreparedCase
from mriseg.core.showcase import ShowcaseEntry
from mriseg.core.volume import Box, Geometry
from mriseg.report.gallery import rows, views

AFFINE = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


def test_slices_are_numbered_as_the_scan_has_them() -> None:
    image = np.random.default_rng(0).normal(size=(1, 6, 8, 8)).astype(np.float16)
    geometry = Geometry((8, 8, 20), AFFINE, (2, 1, 0), (False, True, True))
    box, norm = Box((9, 0, 0), (15, 8, 8)), Normalisation((0.0,), (1.0,))
    case = PreparedCase(image, ("FLAIR",), None, geometry, box, norm)
    truth = np.zeros((1, 6, 8, 8), dtype=np.uint8)
    truth[0, 2, 1:7, 1:7], truth[0, 4, 2, 2] = 1, 1
    masks = truth.copy()
    masks[0, 5] = 1  # most is wrong in the last slice
    shown = views(case, ("FLAIR",), masks, truth)
    assert (shown.largest.number, shown.wrong.number) == (11, 14)
    entries = [
        ShowcaseEntry("a", 1, 2, "best", {"WT": 0.9}),
        ShowcaseEntry("a", 2, 2, "worst", {"WT": 0.1}),
    ]
    best, worst = rows(entries, {"a": shown}, seen={"a"})
    assert best.caption == "best, 1 of 2 · a (trained on it) · Dice WT 0.90 · slice 11"
    assert worst.caption.endswith("Dice WT 0.10 · slice 14, most errors")
    assert np.array_equal(best.truth, truth[:, 2]) and np.array_equal(worst.truth, truth[:, 5])
