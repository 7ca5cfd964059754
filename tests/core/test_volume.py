"""Geometry: every step has an inverse, over all 48 orientations, oblique and anisotropic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mriseg.core.volume import (
    Box,
    Geometry,
    Pad,
    SliceRef,
    bounding_box,
    canonical,
    crop,
    foreground,
    round_up,
    uncanonical,
    uncrop,
)
from mriseg.errors import InputError
from tests.strategies import ORIENTATIONS, Orientation, Shape, geometries, masks, scans


def world(geometry: Geometry, voxel: NDArray[np.int64]) -> NDArray[np.float64]:
    affine = np.asarray(geometry.affine)
    return np.asarray(affine[:3, :3] @ voxel + affine[:3, 3])


@pytest.mark.parametrize("orientation", ORIENTATIONS, ids=lambda o: o.codes)
def test_canonical_axes_run_superior_posterior_left(orientation: Orientation) -> None:
    geometry = orientation.geometry((3, 4, 5))
    array = np.arange(60).reshape(3, 4, 5)
    turned = canonical(array, geometry)
    assert turned.shape == geometry.canonical_shape
    origin = np.argwhere(array == turned[0, 0, 0])[0]
    for axis, direction in enumerate(((0, 0, 1), (0, -1, 0), (-1, 0, 0))):
        step: list[int] = [0, 0, 0]
        step[axis] = 1
        moved = np.argwhere(array == turned[tuple(step)])[0]
        assert np.allclose(world(geometry, moved) - world(geometry, origin), direction)
    assert np.array_equal(uncanonical(turned, geometry), array)


@given(scans())
def test_canonical_and_back_is_the_array(scan: tuple[NDArray[np.float32], Geometry]) -> None:
    array, geometry = scan
    turned = canonical(array, geometry)
    assert turned.shape == geometry.canonical_shape
    assert np.array_equal(uncanonical(turned, geometry), array)
    assert np.shares_memory(turned, array)


@given(geometries())
def test_spacing_and_volume_are_of_the_affine(geometry: Geometry) -> None:
    affine = np.asarray(geometry.affine)
    for axis, size in zip(geometry.axes, geometry.spacing, strict=True):
        assert size == pytest.approx(np.linalg.norm(affine[:3, axis]))
    # No shear in these, so the volume is the product.
    assert geometry.voxel_volume == pytest.approx(np.prod(geometry.spacing))


def test_a_shear_counts_in_the_volume() -> None:
    affine = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 1.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0, 0, 0, 1.0))
    geometry = Geometry((2, 2, 2), affine, (2, 1, 0), (False, True, True))
    assert geometry.voxel_volume == pytest.approx(1)
    assert geometry.spacing == pytest.approx((np.sqrt(2), 1, 1))


def test_wrong_shapes_and_axes_are_refused() -> None:
    geometry = ORIENTATIONS[0].geometry((3, 4, 5))
    with pytest.raises(InputError, match=r"\(5, 4, 3\).*\(3, 4, 5\)"):
        canonical(np.zeros((5, 4, 3)), geometry)
    with pytest.raises(InputError, match="canonical grid"):
        uncanonical(np.zeros((9, 4, 3)), geometry)
    with pytest.raises(InputError, match="order of 0, 1, 2"):
        Geometry((1, 1, 1), geometry.affine, (0, 0, 1), (False, False, False))


@given(masks())
def test_the_bounding_box_holds_all_and_no_more(mask: NDArray[np.bool_]) -> None:
    if not mask.any():
        with pytest.raises(InputError, match="empty"):
            bounding_box(mask)
        return
    box = bounding_box(mask)
    inside = crop(mask, box)
    assert inside.shape == box.shape
    assert inside.sum() == mask.sum()
    for axis in range(3):
        for end in (0, -1):
            assert inside.take(end, axis=axis).any()
    assert np.array_equal(uncrop(inside, box, mask.shape), mask)


def test_the_foreground_of_two_masks_of_one_grid() -> None:
    one, other = foreground(np.array([[0, 4, -1]]), np.array([[0.5, 0, 1]]))
    assert one.tolist() == [[False, True, True]] and other.tolist() == [[True, False, True]]
    with pytest.raises(
        InputError, match=r"shape \(1, 3\) .* shape \(3,\); bring both onto one grid"
    ):
        foreground(np.zeros((1, 3)), np.zeros(3))


def test_uncrop_fills_the_rest() -> None:
    box = Box((1, 0, 1), (2, 2, 3))
    array = np.full((2, 1, 2, 2), 7)
    whole = uncrop(array, box, (3, 2, 4), fill=-1)
    assert whole.shape == (2, 3, 2, 4)
    assert (crop(whole, box) == 7).all() and (whole == -1).sum() == whole.size - array.size
    with pytest.raises(InputError, match="does not fill a box"):
        uncrop(array, Box((0, 0, 0), (1, 1, 1)), (3, 2, 4))


sizes = st.tuples(st.integers(1, 12), st.integers(1, 12))


@given(sizes, sizes)
def test_a_pad_centres_and_its_inverse_undoes_it(
    shape: tuple[int, int], target: tuple[int, int]
) -> None:
    array = np.arange(1, 2 * shape[0] * shape[1] + 1).reshape(2, *shape)
    pad = Pad.to(shape, target)
    padded = pad.apply(array, fill=-1)
    assert padded.shape == (2, *target)
    assert abs(pad.top - pad.bottom) <= 1 and abs(pad.left - pad.right) <= 1
    back = pad.inverse().apply(padded, fill=-1)
    assert back.shape == array.shape
    assert np.isin(back, [*array.ravel(), -1]).all()
    kept = back != -1
    assert np.array_equal(back[kept], array[kept])
    assert kept[0].sum() == min(shape[0], target[0]) * min(shape[1], target[1])


@given(sizes, sizes)
def test_windows_are_the_two_sides_of_a_pad(
    shape: tuple[int, int], target: tuple[int, int]
) -> None:
    array = np.arange(1, shape[0] * shape[1] + 1).reshape(shape)
    source, place = Pad.to(shape, target).windows(shape)
    framed = np.zeros(target, dtype=array.dtype)
    framed[place] = array[source]
    # Row by row and column by column, from where the frame's own corner lies in the slice.
    top, left = (target[0] - shape[0]) // 2, (target[1] - shape[1]) // 2
    for y, x in np.ndindex(target):
        inside = 0 <= y - top < shape[0] and 0 <= x - left < shape[1]
        assert framed[y, x] == (array[y - top, x - left] if inside else 0)


@given(sizes)
def test_a_pad_to_the_same_size_does_nothing(shape: Shape) -> None:
    array = np.ones(shape)
    assert np.shares_memory(Pad.to(shape, shape).apply(array), array)  # type: ignore[arg-type]


@given(st.integers(1, 500), st.integers(1, 64))
def test_rounding_up(size: int, multiple: int) -> None:
    rounded = round_up(size, multiple)
    assert rounded % multiple == 0 and 0 <= rounded - size < multiple


def test_slices_sort_by_case_and_number() -> None:
    refs = [SliceRef("b", 0), SliceRef("a", 10), SliceRef("a", 9)]
    assert sorted(refs) == [SliceRef("a", 9), SliceRef("a", 10), SliceRef("b", 0)]


@given(geometries(), st.integers(0, 10**7))
def test_a_volume_is_of_the_determinant_in_ml_or_a_number_of_voxels(
    geometry: Geometry, voxels: int
) -> None:
    affine = np.asarray(geometry.affine)[:3, :3]
    volume = geometry.volume_of(voxels)
    assert volume.unit == "mL"
    assert volume.value == pytest.approx(voxels * abs(np.linalg.det(affine)) / 1000)
    assert replace(geometry, unit="px").volume_of(voxels) == (voxels, "voxels")
