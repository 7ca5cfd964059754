"""Augmentation: image and mask move together, the background stays zero, one draw is one result."""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import fields
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mriseg.core.augment import AugmentParams, apply, draw
from mriseg.core.config import AugmentConfig
from mriseg.core.rng import generator

_PARTS = (
    *("affine", "elastic", "gamma", "contrast", "noise", "blur", "bias"),
    *("low_resolution", "target_contrast"),
)
OFF = AugmentConfig(flip=0, vertical_flip=0, drop_modality=0, **dict.fromkeys(_PARTS, 0.0))
ALL = AugmentConfig(flip=0.5, vertical_flip=0.5, drop_modality=0.5, **dict.fromkeys(_PARTS, 1.0))
SPATIAL = OFF.model_copy(update={"flip": 0.5, "vertical_flip": 0.5, "affine": 1, "elastic": 1})


def a_batch(channels: int = 3, shape: tuple[int, int] = (64, 96)) -> tuple[Tensor, Tensor]:
    """Discs with texture, 0 around them, and a smaller disc in each as the mask."""
    h, w = shape
    y, x = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    distance = (y - h / 2) ** 2 + (x - w / 2) ** 2
    image = torch.randn(4, channels, h, w, generator=generator(0, "image"))
    brain = distance < 24**2
    mask = ((y - h / 2 + 4) ** 2 + (x - w / 2 - 5) ** 2 < 10**2).expand(4, 2, h, w)
    return image * brain, mask.to(torch.uint8)


@given(st.integers(0, 1000), st.integers(1, 4))
def test_shapes_types_and_masks_are_kept(seed: int, channels: int) -> None:
    image, mask = a_batch(channels)
    before = image.clone(), mask.clone()
    augmented, moved = apply(draw(generator(seed), ALL, 4, channels), image, mask)
    assert augmented.shape == image.shape and augmented.dtype == image.dtype
    assert moved.shape == mask.shape and moved.dtype == mask.dtype
    assert set(moved.unique().tolist()) <= {0, 1}
    assert augmented.isfinite().all()
    # The caller's tensors are not modified.
    assert torch.equal(image, before[0]) and torch.equal(mask, before[1])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bool])
def test_a_mask_keeps_its_type(dtype: torch.dtype) -> None:
    image, mask = a_batch()
    assert apply(draw(generator(1), ALL, 4, 3), image, mask.to(dtype))[1].dtype == dtype


@given(st.integers(0, 1000))
def test_image_and_mask_move_together(seed: int) -> None:
    _, mask = a_batch()
    image = mask[:, :1].float()
    augmented, moved = apply(draw(generator(seed), SPATIAL, 4, 1), image, mask)
    for one, other in zip(augmented[:, 0] > 0.5, moved[:, 0] > 0, strict=True):
        assert (one & other).sum() / (one | other).sum() > 0.9
    assert torch.equal(moved[:, 0], moved[:, 1])


def test_something_moves() -> None:
    _, mask = a_batch()
    moved = apply(draw(generator(0), SPATIAL, 4, 1), mask[:, :1].float(), mask)[1]
    assert all(not torch.equal(one, other) for one, other in zip(moved, mask, strict=True))


@given(st.integers(0, 1000))
def test_switched_off_it_is_the_identity(seed: int) -> None:
    image, mask = a_batch()
    augmented, moved = apply(draw(generator(seed), OFF, 4, 3), image, mask)
    torch.testing.assert_close(augmented, image, atol=1e-4, rtol=1e-4)
    assert torch.equal(moved, mask)


@pytest.mark.parametrize(("config", "axes"), [({"flip": 1}, [3]), ({"vertical_flip": 1}, [2])])
def test_flips_turn_one_axis_each(config: dict[str, float], axes: list[int]) -> None:
    image, mask = a_batch()
    augmented, moved = apply(draw(generator(0), OFF.model_copy(update=config), 4, 3), image, mask)
    torch.testing.assert_close(augmented, image.flip(axes), atol=1e-4, rtol=1e-4)
    assert torch.equal(moved, mask.flip(axes))


@given(st.integers(0, 1000))
def test_outside_the_brain_stays_zero(seed: int) -> None:
    image, mask = a_batch()
    config = ALL.model_copy(update={"affine": 0, "elastic": 0, "flip": 0, "vertical_flip": 0})
    augmented, _ = apply(draw(generator(seed), config, 4, 3), image, mask)
    # Except for a rim of one pixel, where interpolation may mix values.
    brain = torch.nn.functional.max_pool2d((image != 0).any(1, keepdim=True).float(), 3, 1, 1) > 0
    assert not (augmented * ~brain).any()
    assert augmented.any()


@given(st.integers(0, 1000))
def test_a_missing_modality_stays_zero(seed: int) -> None:
    image, mask = a_batch()
    image[1, 2] = 0
    augmented, _ = apply(draw(generator(seed), ALL, 4, 3), image, mask)
    assert not augmented[1, 2].any()
    assert augmented[1].any()


def test_modalities_are_dropped_but_never_all() -> None:
    config = OFF.model_copy(update={"drop_modality": 1.0})
    image, mask = a_batch()
    left = set()
    for seed in range(20):
        augmented, _ = apply(draw(generator(seed), config, 4, 3), image, mask)
        left |= {tuple(kept) for kept in augmented.flatten(2).any(2).tolist()}
    # Every subset occurs except the empty one.
    assert left == set(itertools.product((False, True), repeat=3)) - {(False, False, False)}
    alone, mask = a_batch(1)
    augmented, _ = apply(draw(generator(0), config, 4, 1), alone, mask)
    assert augmented.flatten(1).any(1).all()
    # Nor is the only modality of a case dropped.
    image[:, 1:] = 0
    for seed in range(4):
        augmented, _ = apply(draw(generator(seed), config, 4, 3), image, mask)
        assert augmented.flatten(1).any(1).all()


def test_a_draw_depends_on_its_generator_alone() -> None:
    image, mask = a_batch()
    once = apply(draw(generator(3, "augment", 5), ALL, 4, 3), image, mask)
    torch.rand(7)
    again = apply(draw(generator(3, "augment", 5), ALL, 4, 3), image, mask)
    other = apply(draw(generator(3, "augment", 6), ALL, 4, 3), image, mask)
    assert torch.equal(once[0], again[0]) and torch.equal(once[1], again[1])
    assert not torch.equal(once[0], other[0])


@pytest.mark.parametrize(
    ("part", "unchanged"),
    [
        ("gamma", "gamma"),
        ("contrast", "contrast"),
        ("noise", "noise"),
        ("blur", "blur"),
        ("low_resolution", "coarse"),
        ("bias", "bias"),
        ("elastic", "elastic"),
        ("affine", "matrix"),
        ("target_contrast", "target"),
    ],
)
def test_each_part_can_be_switched_alone(part: str, unchanged: str) -> None:
    image, mask = a_batch()
    drawn = draw(generator(0), OFF.model_copy(update={part: 1.0}), 4, 3)
    plain = draw(generator(0), OFF, 4, 3)
    assert not torch.equal(getattr(drawn, unchanged), getattr(plain, unchanged))
    augmented, _ = apply(drawn, image, mask)
    assert (augmented - image).abs().max() > 0.01


@given(st.integers(0, 1000))
def test_only_the_contrast_of_labelled_voxels_changes(seed: int) -> None:
    image, mask = a_batch()
    mask[0] = 0
    marked = (mask != 0).any(1, keepdim=True).expand_as(image)
    image = image + (image != 0) * (1.0 + marked)
    augmented, _ = apply(drawn := a_contrast(seed), image, mask)
    change = augmented - image
    near = torch.nn.functional.max_pool2d(marked.float(), 9, 1, 4) > 0
    # Up to the rounding of a resampling that moves nothing.
    assert change[0].abs().max() < 1e-3 and change[~near].abs().max() < 1e-3
    assert change[1:].abs().max() > 0.01
    # Well inside, all voxels change by the same share of the difference, towards the rest or away.
    inside = -torch.nn.functional.max_pool2d(-marked.float(), 9, 1, 4) > 0
    rest = (image != 0) & ~marked
    for b, c in itertools.product(range(1, 4), range(3)):
        one = image[b, c]
        difference = one[marked[b, c]].mean() - one[rest[b, c]].mean()
        moved = change[b, c][inside[b, c]]
        assert moved.std() < 1e-3
        # The rim counts as brain, although resampling mixes air into it.
        torch.testing.assert_close(
            moved.mean(), drawn.target[b, c] * difference, atol=1e-3, rtol=0.05
        )


def a_contrast(seed: int) -> AugmentParams:
    drawn = draw(generator(seed), OFF.model_copy(update={"target_contrast": 1.0}), 4, 3)
    assert (drawn.target >= -0.9).all() and (drawn.target <= 0.2 + 1e-6).all()
    return drawn


def test_a_lower_resolution_shows_one_value_where_there_were_many() -> None:
    """A checkerboard turns grey at half the resolution, and its mean stays."""
    rows, columns = torch.meshgrid(torch.arange(32), torch.arange(48), indexing="ij")
    image = ((rows + columns) % 2 + 1.0).expand(4, 3, 32, 48).clone()
    drawn = draw(generator(0), OFF.model_copy(update={"low_resolution": 1.0}), 4, 3)
    augmented, _ = apply(dataclasses.replace(drawn, coarseness=2), image, torch.zeros(4, 1, 32, 48))
    assert torch.allclose(augmented, torch.full_like(augmented, 1.5), atol=1e-5)


def test_rotations_keep_lengths_on_slices_that_are_not_square() -> None:
    config = OFF.model_copy(
        update={"affine": 1, "rotation": 90.0, "scale": 0.0, "shift": 0.0, "shear": 0.0}
    )
    _, mask = a_batch(shape=(64, 128))
    area = mask[0, 0].sum().item()
    for seed in range(8):
        _, moved = apply(draw(generator(seed), config, 4, 1), mask[:, :1].float(), mask)
        for piece in moved[:, 0]:
            y, x = piece.nonzero(as_tuple=True)
            height, width = (int(v.max() - v.min() + 1) for v in (y, x))
            assert abs(height - width) <= 2
            assert piece.sum().item() == pytest.approx(area, rel=0.05)


def test_drawn_parameters_move_to_a_device_as_a_whole() -> None:
    drawn = draw(generator(0), ALL, 2, 3)
    moved = drawn.to(torch.device("meta"))
    for entry in fields(drawn):
        value: Any = getattr(moved, entry.name)
        if isinstance(value, Tensor):
            assert value.device.type == "meta"
        else:
            assert value == getattr(drawn, entry.name)


@given(st.integers(0, 1000), st.integers(1, 4))
def test_some_rows_are_augmented_as_in_the_whole_batch(seed: int, world: int) -> None:
    image, mask = a_batch()
    for config in (ALL, AugmentConfig()):
        drawn = draw(generator(seed), config, 4, 3)
        whole = apply(drawn, image, mask)
        for rank in range(world):
            rows = slice(rank, None, world)
            own = apply(drawn.rows(rows), image[rows], mask[rows])
            assert all(torch.equal(a, b[rows]) for a, b in zip(own, whole, strict=True))
