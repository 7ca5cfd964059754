"""Validation: what is shown of it is where it says."""

from __future__ import annotations

import re

import numpy as np

from mriseg.backends import Backend
from mriseg.core import rng
from mriseg.core.regions import region_masks
from mriseg.core.segnet import SegNetConfig, build, init_weights
from mriseg.io.store import Store
from mriseg.recipes.validate import validate


def test_a_caption_numbers_its_slice_as_the_scan_does(brats_store: Store, cpu: Backend) -> None:
    regions = {"WT": (1, 2, 4)}
    config = SegNetConfig(in_channels=1, classes=1, width=8)
    model = init_weights(build(config, cpu.ops), rng.generator(0))
    names = sorted(brats_store.cases())[:2]
    validation = validate(
        model,
        cpu,
        brats_store,
        names,
        modalities=("FLAIR",),
        regions=regions,
        frame=(64, 64),
        levels=[0.5],
    )
    assert len(validation.rows) == len(names)
    for name, row in zip(names, validation.rows, strict=True):
        case = brats_store.read_case(name)
        assert case.labels is not None and case.box.start[0] > 0
        (number,) = re.findall(r"slice (\d+)", row.caption)
        within = int(number) - case.box.start[0]
        assert np.array_equal(row.truth, region_masks(case.labels, regions)[:, within])
