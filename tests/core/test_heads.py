"""A scan's kind is recognised, whatever its scale and direction, and training's kinds are said."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mriseg.core.heads import (
    STRIPPED,
    UNCLEAR,
    WHOLE,
    Head,
    advice,
    counted_heads,
    described,
    head_of,
    unseen,
)
from mriseg.core.volume import canonical
from mriseg.io import readers
from mriseg.io.readers import ReaderOptions
from mriseg.testing import phantoms

SHAPE = (12, 80, 72)


def rings(*, skull: bool, air: float = 0.0) -> NDArray[np.float64]:
    """A brain [z, y, x], in skin and bone or without, in air of one value or with noise."""
    rng = np.random.default_rng(0)
    z, y, x = np.ogrid[tuple(slice(0, n) for n in SHAPE)]
    radius = np.hypot((y - 39.5) / 36, (x - 35.5) / 33) + 0 * z
    image = np.where(radius < 0.75, rng.normal(100, 10, SHAPE), 0)
    if skull:
        image = np.where((radius > 0.92) & (radius < 1), rng.normal(180, 10, SHAPE), image)
        image = np.where((radius > 0.75) & (radius < 0.92), rng.normal(8, 1, SHAPE), image)
    if air:
        image = np.where(image == 0, np.abs(rng.normal(0, air, SHAPE)), image)
    return image


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (rings(skull=False), STRIPPED),
        (rings(skull=True, air=3), WHOLE),
        (rings(skull=True), WHOLE),
    ],
    ids=["stripped", "noise in the air", "blank air around a skull"],
)
@given(
    scale=st.sampled_from([0.01, 1.0, 300.0]),
    shift=st.sampled_from([0.0, -4.0]),
    flips=st.tuples(*[st.booleans()] * 3),
)
def test_the_kind_does_not_depend_on_scale_or_direction(
    image: NDArray[np.float64],
    expected: Head,
    scale: float,
    shift: float,
    flips: tuple[bool, bool, bool],
) -> None:
    turned = image[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    # In float32, as files are: a shift that rounds leaves the background one value.
    assert head_of([np.float32(scale * turned + shift)]) == expected


def test_it_is_that_of_most_modalities() -> None:
    stripped, whole = rings(skull=False), rings(skull=True, air=3)
    assert head_of([stripped, stripped, whole]) == STRIPPED
    assert head_of([whole, whole, stripped]) == WHOLE


@pytest.mark.parametrize(
    "image",
    [
        rings(skull=False)[:, 20:60, 20:52],
        np.zeros(SHAPE),
        np.random.default_rng(0).normal(100, 5, SHAPE),
        np.ones((1, 1, 1)),
        np.zeros((2, 3, 1)),
    ],
    ids=["a crop", "nothing", "noise", "a voxel", "a line"],
)
def test_what_shows_no_head_in_air_is_unclear(image: NDArray[np.float64]) -> None:
    assert head_of([image]) == UNCLEAR
    assert head_of([]) == UNCLEAR


@pytest.mark.parametrize("stripped", [True, False])
def test_phantoms_are_recognised(stripped: bool) -> None:
    images, _ = phantoms.head(np.random.default_rng(0), stripped=stripped)
    assert head_of(list(images.values())) == (STRIPPED if stripped else WHOLE)


def test_kinds_are_counted_and_described() -> None:
    heads = counted_heads([WHOLE, STRIPPED, WHOLE])
    assert heads == {"stripped": 1, "whole": 2} and list(heads) == ["stripped", "whole"]
    assert described(heads) == "1 stripped, 2 whole"
    assert described(counted_heads([UNCLEAR, WHOLE])) == "1 whole, 1 unclear"
    assert described({"unclear": 3}) == described({}) == ""


@pytest.mark.parametrize(
    ("head", "trained", "said"),
    [
        (WHOLE, {STRIPPED: 5}, "a whole head, training had 5 stripped"),
        (STRIPPED, {WHOLE: 5}, "a stripped brain, training had 5 whole"),
        (WHOLE, {STRIPPED: 5, UNCLEAR: 1}, "a whole head, training had 5 stripped, 1 unclear"),
        (WHOLE, {STRIPPED: 5, WHOLE: 1}, ""),
        (UNCLEAR, {STRIPPED: 5}, ""),
        (WHOLE, {UNCLEAR: 5}, ""),
        (WHOLE, {}, ""),
    ],
)
def test_a_kind_that_training_never_had_is_said(
    head: Head, trained: dict[Head, int], said: str
) -> None:
    assert unseen(head, trained) == said
    assert (said in advice(head, trained)) if said else advice(head, trained) == ""
    assert ("--strip deepbet" in advice(head, trained)) is (bool(said) and head == WHOLE)


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("brats", STRIPPED),
        ("brats-two-modalities", STRIPPED),
        ("brats-unlabelled", STRIPPED),
        ("ms-lesions", STRIPPED),
        ("lgg", WHOLE),
    ],
)
def test_real_heads_are_recognised(data_dir: Path, folder: str, expected: Head) -> None:
    cases = readers.find(data_dir / folder, "auto", ReaderOptions())[1].cases
    heads: Counter[Head] = Counter()
    for case in cases:
        raw = case.load()
        heads[head_of([canonical(image, raw.geometry) for image in raw.images.values()])] += 1
    assert heads == {expected: len(cases)}
