"""The picture shows the outline where the brain ends, whatever the orientation of the scan."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mriseg.core.orientation import geometry_of
from mriseg.core.outline import Outline, outlined
from mriseg.report.brain_outline import brain_outline
from mriseg.testing.strippers import turned

SHAPE = (20, 60, 50)
BRAIN = (slice(4, 17), slice(15, 40), slice(10, 30))


def head() -> tuple[NDArray[Any], NDArray[np.bool_], Any]:
    image = np.zeros(SHAPE)
    image[1:19, 5:55, 5:45] = 100
    brain = np.zeros(SHAPE, dtype=bool)
    brain[BRAIN] = True
    affine = np.zeros((4, 4))
    affine[(2, 1, 0), (0, 1, 2)] = (5, -1, -1)
    affine[3, 3] = 1
    return image, brain, geometry_of(SHAPE, affine)


def outline_of(image: NDArray[Any], brain: NDArray[np.bool_], geometry: Any) -> Outline:
    return outlined(image, brain, geometry, modality="T1", stripper="deepbet")


def coloured(picture: bytes) -> NDArray[np.bool_]:
    """Where the picture is orange, as the outline is; JPEG blurs it a little."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), dtype=int)
    return pixels[..., 0] - pixels[..., 2] > 60


def test_three_outlines_are_drawn_around_the_brain() -> None:
    image, brain, geometry = head()
    picture = brain_outline(outline_of(image, brain, geometry), "case1")
    assert picture[:2] == b"\xff\xd8" and len(picture) < 60_000
    drawn = coloured(picture)
    third = drawn.shape[1] // 3
    tiles = [drawn[44:-40, n * third : (n + 1) * third] for n in range(3)]
    for tile in tiles:
        rows, columns = np.flatnonzero(tile.any(axis=1)), np.flatnonzero(tile.any(axis=0))
        height, width = np.ptp(rows), np.ptp(columns)
        # The brain's 25 x 20 pixels, and nothing within.
        assert height / width == pytest.approx(25 / 20, rel=0.05)
        middle = tile[rows[0] + 8 : rows[-1] - 8, columns[0] + 8 : columns[-1] - 8]
        assert not middle.any()


def test_the_picture_is_the_same_in_any_orientation() -> None:
    image, brain, geometry = head()
    other, place = turned(image, geometry)
    expected = brain_outline(outline_of(image, brain, geometry), "a")
    assert brain_outline(outline_of(other, turned(brain, geometry)[0], place), "a") == expected


def test_a_brain_at_the_edge_of_the_scan_is_drawn() -> None:
    image, _, geometry = head()
    drawn = coloured(brain_outline(outline_of(image, np.ones(SHAPE, dtype=bool), geometry), ""))
    # What runs out of the picture has no border there.
    assert not drawn[:200].any()
