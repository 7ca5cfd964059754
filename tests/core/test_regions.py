"""Regions: how they are named, and that masks and label maps agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mriseg.core.regions import (
    Regions,
    join_labels,
    label_map,
    labels_of_numbers,
    own_labels,
    parse_regions,
    region_masks,
    region_numbers,
)
from mriseg.errors import ConfigError, InputError
from tests.strategies import label_maps

BRATS: Regions = {"WT": (1, 2, 3, 4), "TC": (1, 3, 4), "ET": (4,)}


@pytest.mark.parametrize(
    ("text", "regions"),
    [
        ("WT", {"WT": (1, 2, 3, 4)}),
        (" TC , WT ", {"TC": (1, 3, 4), "WT": (1, 2, 3, 4)}),
        ("lesion=1", {"lesion": (1,)}),
        ("all = 3 + 1+3", {"all": (1, 3)}),
        ("ET=1,WT,", {"ET": (1,), "WT": (1, 2, 3, 4)}),
        ("left part=2", {"left part": (2,)}),
    ],
)
def test_regions_are_named_or_defined(text: str, regions: Regions) -> None:
    parsed = parse_regions(text, BRATS)
    assert parsed == regions
    assert list(parsed) == list(regions)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no region was named"),
        (" , ", "no region was named"),
        ("XY", "there is no region 'XY'; known: WT, TC, ET"),
        ("WT,WT", "named twice"),
        ("WT,WT=1", "named twice"),
        ("a=0", "whole numbers from 1 to 255"),
        ("a=256", "whole numbers from 1 to 255"),
        ("a=", "whole numbers from 1 to 255"),
        ("a=1+", "whole numbers from 1 to 255"),
        ("a=-1", "whole numbers from 1 to 255"),
        ("a=1.5", "whole numbers from 1 to 255"),
        ("a=²", "whole numbers from 1 to 255"),
        ("a=b", "whole numbers from 1 to 255"),
        ("=1", "name may contain"),
        ("../x=1", "name may contain"),
        ("a/b=1", "name may contain"),
    ],
)
def test_what_is_no_region_is_reported(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said.replace("+", r"\+")):
        parse_regions(text, BRATS)


@given(st.text(max_size=12))
def test_any_text_gives_regions_or_a_message(text: str) -> None:
    try:
        parsed = parse_regions(text, BRATS)
    except ConfigError:
        return
    assert parsed and all(0 < v < 256 for values in parsed.values() for v in values)


@given(label_maps(values=(0, 1, 2, 3, 4)))
def test_brats_regions_round_trip_through_labels(labels: NDArray[np.uint8]) -> None:
    masks = region_masks(labels, BRATS)
    painted = label_map(masks, BRATS)
    # Non-enhancing tumour, 3, is part of WT and TC, as necrosis, 1, is.
    assert np.array_equal(painted, np.where(labels == 3, 1, labels))
    assert np.array_equal(region_masks(painted, BRATS), masks)


@given(label_maps(values=(0, 1, 2, 3, 4)), st.permutations(list(BRATS)))
def test_the_order_of_nested_regions_does_not_matter(
    labels: NDArray[np.uint8], names: list[str]
) -> None:
    regions = {name: BRATS[name] for name in names}
    painted = label_map(region_masks(labels, regions), regions)
    assert np.array_equal(painted, label_map(region_masks(labels, BRATS), BRATS))


@given(label_maps(values=(0, 1, 2)))
def test_separate_regions_round_trip_through_labels(labels: NDArray[np.uint8]) -> None:
    regions: Regions = {"anterior": (1,), "posterior": (2,)}
    assert np.array_equal(label_map(region_masks(labels, regions), regions), labels)


def test_a_region_that_shares_labels_gets_one_of_its_own() -> None:
    regions: Regions = {"a": (1, 2), "b": (2, 3)}
    masks = np.array([[1, 0, 0], [0, 1, 0]])
    assert label_map(masks, regions).tolist() == [1, 3, 0]
    assert np.array_equal(region_masks(label_map(masks, regions), regions), masks)


def test_the_narrower_of_two_overlapping_regions_wins() -> None:
    masks = np.array([[0, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert label_map(masks, {"WT": (1, 2, 4), "TC": (1, 4), "ET": (4,)}).tolist() == [0, 2, 1, 4]


@given(label_maps(values=(0, 1, 4)))
def test_a_single_region_is_one(labels: NDArray[np.uint8]) -> None:
    painted = label_map(region_masks(labels, {"ET": (4,)}), {"ET": (4,)})
    assert painted.dtype == np.uint8
    assert np.array_equal(painted, labels == 4)


def test_masks_have_one_channel_per_region() -> None:
    masks = region_masks(np.zeros((2, 3, 4, 5), dtype=np.uint8), BRATS)
    assert masks.shape == (3, 2, 3, 4, 5) and masks.dtype == np.uint8


@given(st.integers(0, 1000), st.lists(st.integers(0, 255), min_size=1, max_size=9))
def test_any_integer_type_and_layout_gives_the_same_masks(seed: int, values: list[int]) -> None:
    labels = np.random.default_rng(seed).integers(0, 256, (3, 4, 5)).astype(np.uint8)
    regions = {"some": tuple(values), "all": tuple(range(1, 256))}
    expected = np.stack([np.isin(labels, united) for united in regions.values()])
    for given_labels in (labels, np.asfortranarray(labels), labels.astype(np.int64), labels[::1]):
        masks = region_masks(given_labels, regions)
        assert masks.dtype == np.uint8 and np.array_equal(masks, expected)
    turned = region_masks(labels[:, ::-1], regions)
    assert np.array_equal(turned, expected[:, :, ::-1])


@given(st.sets(st.integers(1, 255), min_size=1))
def test_joined_labels_are_read_again(values: set[int]) -> None:
    labels = tuple(sorted(values))
    assert parse_regions(f"some={join_labels(labels)}", {}) == {"some": labels}


_SETS: list[Regions] = [
    BRATS,
    {"ET": (4,), "TC": (1, 4), "WT": (1, 2, 4)},
    {"ET": (4,)},
    {"a": (1,), "b": (2,)},
    {"a": (1, 2), "b": (2, 3)},
]


@pytest.mark.parametrize("regions", _SETS)
@given(labels=label_maps(values=(0, 1, 2, 3)))
def test_what_is_drawn_is_the_label_map_of_its_regions(
    regions: Regions, labels: NDArray[np.uint8]
) -> None:
    numbers = np.minimum(labels, len(regions)).astype(np.uint8)
    painted = labels_of_numbers(numbers, regions)
    assert np.array_equal(region_numbers(painted, regions), numbers)
    # A voxel of a region is in all regions that hold it.
    values = list(regions.values())
    masks = np.stack(
        [
            np.isin(numbers, [n + 1 for n, inner in enumerate(values) if set(inner) <= set(outer)])
            for outer in values
        ]
    )
    assert np.array_equal(label_map(masks.astype(np.uint8), regions), painted)


def test_a_label_within_a_region_is_of_that_region() -> None:
    regions: Regions = {"WT": (1, 2, 3, 4), "ET": (4,)}
    assert own_labels(regions) == (1, 4)
    assert region_numbers(np.array([0, 1, 2, 3, 4], np.uint8), regions).tolist() == [0, 1, 1, 1, 2]
    with pytest.raises(InputError, match="labels of no region \\(7, 9\\)"):
        region_numbers(np.array([7, 9, 1], np.uint8), regions)
    with pytest.raises(InputError, match="the label 3, and there are 2 regions"):
        labels_of_numbers(np.array([3], np.uint8), regions)
