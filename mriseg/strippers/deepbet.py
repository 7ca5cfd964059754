"""deepbet (Fisch et al. 2024, doi:10.1016/j.compbiomed.2024.108845): two small 3-D networks.

The first finds the brain's box in the whole head, the second the brain in the box. Its wheel holds
the weights; what it asks for to show windows is not imported.
"""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mriseg.core.volume import Geometry
from mriseg.extras import Extra
from mriseg.strippers.base import Training
from mriseg.strippers.heads import as_given, no_brain, upright

_EXTRA = Extra("strip", "--strip deepbet", ("deepbet",))
# deepbet's own default.
_THRESHOLD = 0.5


class Deepbet:
    """See `mriseg.strippers.base.Stripper`. It needs no voxel size: it scales heads to a cube."""

    name = "deepbet"
    summary = "two small networks, seconds per scan (10 MB, MIT)"
    extra = _EXTRA.name
    training = Training(
        ("T1",), "healthy adults", tumours=False, source="doi:10.1016/j.compbiomed.2024.108845"
    )

    def ready(self) -> None:
        """See `Stripper.ready`."""
        _EXTRA.check()

    def brain(self, image: NDArray[Any], geometry: Geometry, modality: str) -> NDArray[np.bool_]:
        """See `Stripper.brain`."""
        scan = upright(image, geometry)
        # It keeps the box of its last scan: each call has an object of its own, on shared weights.
        extraction = copy.copy(_extraction())
        try:
            share = extraction.run_model(scan)
        except (AssertionError, ValueError):
            # That is how it says so: an assertion about the box, or the argmax of nothing.
            raise no_brain() from None
        return as_given(share > _THRESHOLD, geometry)


STRIPPER = Deepbet()


@cache
def _extraction() -> Any:
    """The library's object with its weights, on the CPU, where results repeat to the bit."""
    return _EXTRA.library("deepbet.bet").BrainExtraction(no_gpu=True)
