"""The parts of a round: masks as they were drawn, and a scan that is not the one corrected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mriseg.core.regions import label_map, parse_regions, region_masks
from mriseg.io.corrections import Correction
from mriseg.io.predictions import ModelName
from mriseg.io.runs import Run
from mriseg.io.store import Store
from mriseg.recipes.improve_round import _as_drawn, _is_another_scan


@pytest.mark.parametrize(
    "regions",
    [
        {"WT": (1, 2, 3, 4), "TC": (1, 3, 4), "ET": (4,)},
        {"ET": (4,)},
        {"left": (1,), "right": (2, 3)},
    ],
)
def test_a_mask_that_was_drawn_gives_its_regions_again(
    trained: Run, regions: dict[str, tuple[int, ...]]
) -> None:
    run = Run(trained.path, replace(trained.manifest, regions=regions))
    read = parse_regions(_as_drawn(run), {})
    assert list(read) == list(regions)
    outer = np.array([1, 1, 1, 0], np.uint8)
    nested = np.array([outer, outer * [1, 1, 0, 1], outer * [1, 0, 0, 1]], np.uint8)
    drawn = (
        nested[: len(regions)] if "left" not in regions else np.array([[1, 0, 0, 0], [0, 1, 1, 0]])
    )
    labels = label_map(drawn[:, None, None], regions)
    np.testing.assert_array_equal(region_masks(labels, read), drawn[:, None, None])


def test_a_scan_is_known_by_its_images(brats_store: Store) -> None:
    name = sorted(brats_store.cases())[0]
    sources = brats_store.cases()[name].sources
    images = tuple(file for file in sources if "_seg" not in file.name)
    assert len(images) == len(sources) - 1
    correction = Correction(
        *(name, f"{name}.nii.gz", "scans", images, ModelName("base", ""), ("WT",)),
        *("corrected", "a reader", "2026-11-30T12:00:00+00:00", None, name),
    )
    assert not _is_another_scan(brats_store, correction)
    other = replace(images[0], sha256="0" * 64)
    assert _is_another_scan(brats_store, replace(correction, scan=(other, *images[1:])))
