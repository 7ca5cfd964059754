from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from mriseg.core.dicom_stack import SlicePlace, affine_of, frames_of, in_order, stack_problem
from mriseg.core.orientation import geometry_of
from mriseg.errors import InputError

SPACING = (0.5, 0.75)
SHAPE = (4, 5)


def stack(
    count: int, rotation: NDArray[np.float64] | None = None, gap: float = 3.0
) -> list[SlicePlace]:
    """Slices of 4 rows and 5 columns."""
    turn = np.eye(3) if rotation is None else rotation
    return [
        SlicePlace(
            f"IM{number}",
            SHAPE,
            tuple((turn @ [10.0, -20, 5 + gap * number]).tolist()),
            (*turn[:, 0].tolist(), *turn[:, 1].tolist()),
            SPACING,
        )
        for number in range(count)
    ]


def moved(one: SlicePlace, by: tuple[float, float, float]) -> SlicePlace:
    return replace(one, position=tuple(np.add(one.position, by).tolist()))


rotations = st.builds(
    lambda seed: Rotation.random(rng=np.random.default_rng(seed)).as_matrix(),
    st.integers(0, 10_000),
)


@given(rotations, st.randoms(use_true_random=False), st.integers(1, 6))
def test_slices_in_any_order_and_orientation_are_one_volume(
    rotation: NDArray[np.float64], random, count: int
) -> None:
    slices = stack(count, rotation)
    random.shuffle(slices)
    assert stack_problem(slices) == ""
    ordered = [slices[index] for index in in_order(slices)]
    assert [place.name for place in ordered] == [f"IM{n}" for n in range(count)]
    # Every corner of the affine lies where the header says, in RAS.
    affine = affine_of(ordered)
    for number, place in enumerate(ordered):
        expected = np.array(place.position) * (-1, -1, 1)
        if count > 1 or number == 0:
            np.testing.assert_allclose((affine @ [0, 0, number, 1])[:3], expected, atol=1e-9)
    row = np.array(ordered[0].orientation[:3]) * (-1, -1, 1) * SPACING[1]
    np.testing.assert_allclose(affine[:3, 0], row, atol=1e-9)


def broken(kind: str) -> list[SlicePlace]:
    slices = stack(6)
    match kind:
        case "missing":
            del slices[3]
        case "two missing":
            del slices[2:4]
        case "doubled":
            slices.append(replace(slices[2], name="IM2b"))
        case "volumes":
            slices += [replace(place, name=f"{place.name}b") for place in slices]
        case "uneven":
            slices[4] = moved(slices[4], (0, 0, 0.5))
        case "tilt":
            slices = [moved(place, (0, 0.6 * n, 0)) for n, place in enumerate(slices)]
        case "aside":
            slices[3] = moved(slices[3], (0, 0.7, 0))
        case "slope":
            slices[5] = replace(slices[5], scale=(2.0, 0.0))
        case "intercept":
            slices[5] = replace(slices[5], scale=(1.0, 3.0))
        case "orientation":
            slices[1] = replace(slices[1], orientation=(1, 0, 0, 0, 0, 1))
        case "pixels":
            slices[1] = replace(slices[1], spacing=(0.5, 0.5))
        case "rows":
            slices[1] = replace(slices[1], shape=(4, 6))
        case "nowhere":
            slices[1] = replace(slices[1], position=())
        case "nan":
            slices[1] = replace(slices[1], position=(0, 0, float("nan")))
        case "skew":
            slices[1] = replace(slices[1], orientation=(1, 0, 0, 0.5, 0.5, 0))
        case "zero":
            slices[1] = replace(slices[1], spacing=(0.0, 0.5))
    return slices


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "a slice is missing between IM2 and IM4: they are 6 mm apart, others 3"),
        ("two missing", "2 slices are missing between IM1 and IM4"),
        ("doubled", "IM2 and IM2b are the same slice twice"),
        ("volumes", "2 images at each position"),
        ("uneven", "distance between its slices varies: 3.5 mm between IM3 and IM4"),
        ("tilt", "tilted by 11.3 degrees"),
        ("aside", "IM3 lies beside the line"),
        ("slope", "IM0 and IM5 have values of different scales"),
        ("intercept", "IM0 and IM5 have values of different scales"),
        ("orientation", "IM0 and IM1 are oriented differently"),
        ("pixels", "IM0 and IM1 have pixels of different sizes"),
        ("rows", "IM0 and IM1 have different numbers of rows"),
        ("nowhere", "IM1 does not state where it lies"),
        ("nan", "IM1 does not state where it lies"),
        ("skew", "IM1 states an orientation that is none"),
        ("zero", "IM1 states a pixel spacing"),
    ],
)
def test_every_fault_is_named_with_its_slices(kind: str, said: str) -> None:
    assert said in stack_problem(broken(kind))


def test_rounding_in_headers_is_no_fault() -> None:
    rng = np.random.default_rng(0)
    slices = [moved(place, tuple(rng.uniform(-0.004, 0.004, 3))) for place in stack(20)]
    assert stack_problem(slices) == ""


@given(rotations, st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3))
def test_an_array_in_any_axes_is_found_in_the_frames(
    rotation: NDArray[np.float64], order: list[int], mirrored: tuple[bool, ...]
) -> None:
    slices = stack(6, rotation)
    affine = affine_of(slices)
    frames = np.arange(6 * 4 * 5).reshape(6, 4, 5)
    # [column, row, slice], then other axes, some of them reversed.
    array, own = frames.transpose(2, 1, 0), affine.copy()
    array, own[:3, :3] = array.transpose(order), affine[:3, order]
    for axis, flip in enumerate(mirrored):
        if flip:
            own[:3, 3] += own[:3, axis] * (array.shape[axis] - 1)
            own[:3, axis] *= -1
            array = np.flip(array, axis)
    geometry = geometry_of(array.shape, own)
    np.testing.assert_array_equal(frames_of(geometry, slices).of(array), frames)
    # A voxel further along any axis is another place.
    own[:3, 3] += own[:3, 1]
    with pytest.raises(InputError, match="do not lie where the slices"):
        frames_of(geometry_of(array.shape, own), slices)


def test_a_grid_of_other_sizes_is_refused() -> None:
    slices = stack(6)
    affine = affine_of(slices)
    with pytest.raises(InputError, match="do not lie where the slices"):
        frames_of(geometry_of((5, 4, 7), affine), slices)
    with pytest.raises(InputError, match="do not lie where the slices"):
        frames_of(geometry_of((5, 4, 6), affine @ np.diag([1, 1, 1.1, 1])), slices)


def test_a_single_slice_is_found_too() -> None:
    (slices,) = [stack(1)]
    affine = affine_of(slices)
    affine[:3, 2] *= 7
    assert frames_of(geometry_of((5, 4, 1), affine), slices).axes == (2, 1, 0)
