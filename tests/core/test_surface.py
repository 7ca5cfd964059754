"""Distances between surfaces against brute force over all pairs of voxels, and cases by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from mriseg.core.surface import TOLERANCE, SurfaceDistances, surface_distances
from mriseg.errors import ConfigError, InputError

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]

modest = settings(deadline=None, max_examples=60)
spacings = st.tuples(*[st.sampled_from([0.5, 1.0, 1.7, 5.0])] * 3)
# Among them distances that voxels of these sizes have, so that "equal is within" shows.
tolerances = st.sampled_from([0.0, 0.5, 1.0, 1.7, 2.0, 3.4, 7.0])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Mask, Mask]:
    shape = draw(hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6))
    return draw(hnp.arrays(bool, shape)), draw(hnp.arrays(bool, shape))


def surface_points(mask: Mask, spacing: Spacing) -> NDArray[np.float64]:
    """Foreground voxels with a face towards the background, one at a time."""
    border = []
    for voxel in map(tuple, np.argwhere(mask)):
        for axis in range(3):
            for step in (-1, 1):
                other = list(voxel)
                other[axis] += step
                inside = 0 <= other[axis] < mask.shape[axis]
                if not inside or not mask[tuple(other)]:
                    border.append(voxel)
    points: NDArray[np.float64] = np.unique(np.array(border), axis=0) * np.array(spacing)
    return points


def brute(a: Mask, b: Mask, spacing: Spacing, tolerance: float = 2.0) -> SurfaceDistances:
    apart = cdist(surface_points(a, spacing), surface_points(b, spacing))
    forth, back = apart.min(axis=1), apart.min(axis=0)
    each = [*forth.tolist(), *back.tolist()]
    return SurfaceDistances(
        hd95=max(np.percentile(forth, 95), np.percentile(back, 95)),
        assd=float(np.mean(each)),
        nsd=sum(distance <= tolerance + 1e-6 for distance in each) / len(each),
    )


def close(measured: SurfaceDistances, expected: SurfaceDistances) -> bool:
    sides = ((s.hd95, s.assd, s.nsd) for s in (measured, expected))
    return bool(next(sides) == pytest.approx(next(sides), nan_ok=True))


def block(shape: tuple[int, int, int], *where: slice) -> Mask:
    mask = np.zeros(shape, dtype=bool)
    mask[where] = True
    return mask


@modest
@given(pairs(), spacings, tolerances)
def test_distances_equal_brute_force(
    pair: tuple[Mask, Mask], spacing: Spacing, tolerance: float
) -> None:
    a, b = pair
    assume(a.any() and b.any())
    assert close(surface_distances(a, b, spacing, tolerance), brute(a, b, spacing, tolerance))


@modest
@given(pairs(), spacings, tolerances)
def test_distances_are_symmetric(
    pair: tuple[Mask, Mask], spacing: Spacing, tolerance: float
) -> None:
    a, b = pair
    one, other = (surface_distances(*p, spacing, tolerance) for p in ((a, b), (b, a)))
    assert close(one, other)


@modest
@given(pairs(), spacings, st.lists(tolerances, min_size=2, max_size=2))
def test_a_larger_tolerance_forgives_more(
    pair: tuple[Mask, Mask], spacing: Spacing, two: list[float]
) -> None:
    a, b = pair
    less, more = (surface_distances(a, b, spacing, tolerance).nsd for tolerance in sorted(two))
    assert 0 <= less <= more <= 1
    assert surface_distances(a, a, spacing, 0.0).nsd == 1


@modest
@given(
    axis=st.integers(0, 2), shift=st.integers(0, 6), spacing=spacings,
    size=st.tuples(*[st.integers(1, 4)] * 3),
)  # fmt: skip
def test_distances_of_a_shifted_block(
    axis: int, shift: int, spacing: Spacing, size: tuple[int, int, int]
) -> None:
    a = block((12, 12, 12), *(slice(1, 1 + side) for side in size))
    b = np.roll(a, shift, axis)
    measured = surface_distances(a, b, spacing)
    assert close(measured, brute(a, b, spacing))
    assert measured.hd95 <= shift * spacing[axis] + 1e-9
    if size[axis] == 1:
        assert measured.hd95 == pytest.approx(shift * spacing[axis])
        assert measured.nsd == (shift * spacing[axis] <= TOLERANCE)


def test_hd95_is_the_larger_of_two_percentiles_not_one_over_both() -> None:
    # Ninety voxels that agree and ten far away in the prediction alone: pooled, the far ones are
    # about 5 %, and vanish; by direction they are 10 % of one side.
    truth = np.zeros((1, 1, 300), dtype=bool)
    truth[..., :180:2] = True
    prediction = truth.copy()
    prediction[..., 280:300:2] = True
    assert surface_distances(prediction, truth, (1, 1, 1)).hd95 > 100
    assert surface_distances(truth, prediction, (1, 1, 1)).hd95 > 100


def test_nsd_of_two_rows_by_hand() -> None:
    # A row of six voxels against its first two: of the four more, 1, 2, 3 and 4 voxels away, two
    # lie within 2 mm. With the two voxels on either side that agree, 6 of 8.
    row, start = block((1, 1, 9), np.s_[0], np.s_[0], np.s_[:6]), np.zeros((1, 1, 9), dtype=bool)
    start[..., :2] = True
    assert surface_distances(row, start, (1, 1, 1)).nsd == 6 / 8
    assert surface_distances(row, start, (1, 1, 1), 0.9).nsd == 4 / 8
    assert surface_distances(row, start, (1, 1, 0.5)).nsd == 1
    # Only along x are voxels this large.
    assert surface_distances(row, start, (0.1, 0.1, 2.5)).nsd == 4 / 8


def test_a_voxel_size_that_a_header_rounded_does_not_decide() -> None:
    a, b = block((1, 1, 5), np.s_[0], np.s_[0], np.s_[:1]), np.zeros((1, 1, 5), dtype=bool)
    b[..., 2] = True
    assert surface_distances(a, b, (1, 1, 1.0000001)).nsd == 1
    assert surface_distances(a, b, (1, 1, 1.001)).nsd == 0


def test_surfaces_of_empty_masks() -> None:
    some, none = block((3, 4, 5), np.s_[1], np.s_[1:3], np.s_[2]), np.zeros((3, 4, 5), dtype=bool)
    nan = math.nan
    assert surface_distances(none, none, (1, 1, 1)) == SurfaceDistances(0, 0, 1)
    for pair in ((some, none), (none, some)):
        assert close(surface_distances(*pair, (1, 1, 1)), SurfaceDistances(nan, nan, 0))


def test_what_has_no_surface_is_refused() -> None:
    mask = np.zeros((2, 3, 4))
    with pytest.raises(InputError, match="3-D masks, not 2-D"):
        surface_distances(mask[0], mask[0], (1, 1, 1))
    with pytest.raises(InputError, match="one grid"):
        surface_distances(mask, mask[:1], (1, 1, 1))
    for tolerance in (-1.0, math.nan):
        with pytest.raises(ConfigError, match="tolerance"):
            surface_distances(mask, mask, (1, 1, 1), tolerance)


def test_hd95_and_nsd_are_monais() -> None:
    pytest.importorskip("monai")
    import torch
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    rng = np.random.default_rng(0)
    for _ in range(10):
        a, b = rng.random((2, 5, 8, 9)) < 0.3
        spacing, one_hot = (5.0, 1.0, 1.7), [torch.tensor(m[None, None]).float() for m in (a, b)]
        measured = surface_distances(a, b, spacing, 1.5)
        options: dict[str, Any] = {"include_background": True, "spacing": spacing}
        nsd = compute_surface_dice(*one_hot, [1.5], **options)
        hd95 = compute_hausdorff_distance(*one_hot, percentile=95, **options)
        # In single precision.
        assert (measured.nsd, measured.hd95) == pytest.approx((float(nsd), float(hd95)), abs=1e-4)
