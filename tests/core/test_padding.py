"""One rule for the size of a padded slice, for each axis separately."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mriseg.core.padding import padded_size
from mriseg.core.settings import MULTIPLE
from mriseg.core.volume import round_up

sides = st.integers(1, 400)
frames = st.integers(1, 12).map(lambda n: n * MULTIPLE)


@given(h=sides, w=sides, frame=st.tuples(frames, frames))
def test_each_axis_is_the_frames_or_the_next_multiple(
    h: int, w: int, frame: tuple[int, int]
) -> None:
    padded = padded_size((h, w), frame)
    for length, given_length, side in zip(padded, (h, w), frame, strict=True):
        assert length == (side if given_length <= side else round_up(given_length, MULTIPLE))


def test_the_axes_are_independent() -> None:
    # 96 high fits into a frame of 224, whatever the width.
    assert padded_size((96, 190), (224, 192)) == (224, 192)
    assert padded_size((96, 193), (224, 192)) == (224, 224)
    assert padded_size((225, 20), (224, 192)) == (256, 192)


@pytest.mark.parametrize("frame", [(40, 64), (1, 33)])
def test_a_frame_that_is_no_multiple_is_rounded_up(frame: tuple[int, int]) -> None:
    assert padded_size((36, 36), frame) == (64, 64)


def test_a_script_computes_the_same() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        script = torch.jit.script(padded_size)
    for size in ((1, 1), (224, 192), (225, 20), (96, 193), (300, 300)):
        assert script(size, (224, 192)) == padded_size(size, (224, 192))
